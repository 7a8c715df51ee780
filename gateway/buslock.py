"""A bus belongs to one process: flock on `{runtime}/bus-{id}.lock`, with the owner's name inside."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from engine.errors import LinkDown


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a bus."""

    pid: int
    name: str


class BusLock:
    """Held from `take` to `release`; the kernel lets go when the process dies."""

    def __init__(self, runtime: Path, bus: str) -> None:
        self._path = runtime / f"bus-{bus}.lock"
        self._bus = bus
        self._fd: int | None = None

    def take(self, name: str) -> None:
        """Raises LinkDown naming the process that has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
        except OSError as error:
            hint = f"let this user write there: ls -ld {self._path.parent}; id"
            raise LinkDown(f"{self._path}: {error.strerror}", hint=hint) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            owner = self.owner()
            who = f"process {owner.pid} ({owner.name})" if owner else "another process"
            raise LinkDown(
                f"bus {self._bus} belongs to {who}", hint=f"stop it, or look at it: fuser -v {self._path}"
            ) from None
        os.truncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {name}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def owner(self) -> Owner | None:
        """Who holds the lock, or else who wrote its name last; None when unknown."""
        try:
            pid, _, name = self._path.read_text().strip().partition(" ")
            written = Owner(int(pid), name)
        except (OSError, ValueError):
            written = None
        holder = _holder(self._path)
        if holder is None or (written is not None and written.pid == holder.pid):
            return written
        return holder


def _holder(path: Path) -> Owner | None:
    """The process that the kernel names: a stranger's `flock` writes no name into our file."""
    try:
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            _, kind, _, _, pid, place, *_ = line.split()
            if kind == "FLOCK" and int(place.rpartition(":")[2]) == inode:
                return Owner(int(pid), Path(f"/proc/{pid}/comm").read_text().strip())
    except (OSError, ValueError):
        return None
    return None
