"""Processes as the kernel shows them; a right taken away; a lock taken by a stranger."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.rig import Child

PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def children(pid: int) -> list[tuple[int, str]]:
    """(pid, command line) of the processes that `pid` started and that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, IndexError):
            continue  # it ended while we looked
        if parent == pid:
            found.append((int(entry.name), line))
    return found


def end_with_children(supervisor: Child) -> None:
    """At once and without asking: a supervisor that is killed leaves its processes behind."""
    left = children(supervisor.process.pid)
    supervisor.stop(signal.SIGKILL)
    for pid, _ in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def stranger_on(lock: Path) -> Iterator[int]:
    """The pid of a process that holds a bus lock and never heard of us."""
    lines = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", lines, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def without_dac_override() -> None:
    """For a child about to run: root too must obey file modes, as the service's user does."""
    if os.getuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 and libc.prctl(
            PR_CAPBSET_DROP, capability, 0, 0, 0
        ):
            raise OSError(ctypes.get_errno(), "a capability cannot be dropped")
