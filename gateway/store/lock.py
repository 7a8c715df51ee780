"""`ledger.lock`: who may write the ledger, and how a reader learns whether a writer lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from engine.errors import StoreError

NAME = "ledger.lock"
_WAIT_S = 2.0  # a reader of a resting ledger holds a shared lock for one page


class WriterLock:
    """Exclusive flock for the life of the one writer; the file names its process."""

    def __init__(self, directory: Path) -> None:
        path = directory / NAME
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + _WAIT_S
        while not _try(self._fd, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                owner = os.pread(self._fd, 20, 0).decode(errors="replace").strip() or "unknown"
                os.close(self._fd)
                raise StoreError(
                    f"{path}: process {owner} writes this ledger already",
                    hint=f"there is one writer per ledger: look at it with `ps {owner}` and stop it first",
                )
            time.sleep(0.02)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    @property
    def held(self) -> bool:
        return self._fd >= 0

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = -1


class RestLock:
    """Shared flock of a reader while it reads a ledger that nobody writes; never waits."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._fd = -1

    def acquire(self) -> bool:
        """False when a writer lives. A ledger without a lock file (a copy) has no writer."""
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        if _try(self._fd, fcntl.LOCK_SH):
            return True
        self.release()
        return False

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _try(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
