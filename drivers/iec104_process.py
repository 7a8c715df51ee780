"""The client process as its parent sees it: started, spoken to, ended. What it says goes to a callback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

from drivers.iec104_pipe import Command, Kind, Records, Setup

STOP_S = 2.0
CHUNK = 65536
_ROOT = str(Path(__file__).resolve().parent.parent)


class ClientProcess:
    """One life of `python -m drivers.iec104_child`."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def run(self, record: Callable[[Kind, int, bytes], None]) -> str:
        """Serve until the process ends; `record` gets kind, arrival (monotonic ns), payload. Returns why."""
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH", ""))))
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "drivers.iec104_child",
                stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip
        except OSError as error:
            return f"the IEC 104 client process cannot be started: {error}"
        self._write(self._setup)
        assert process.stdout is not None
        records, fault = Records(), ""
        while chunk := await process.stdout.read(CHUNK):
            for kind, mono_ns, payload in records.feed(chunk):
                if kind is Kind.FAULT:
                    fault = payload.decode()
                else:
                    record(kind, mono_ns, payload)
        return fault or _ending(await process.wait())

    def send(self, command: Command) -> None:
        """Hand over a command. Nothing is promised: the asker keeps its own deadline."""
        self._write(command)

    async def stop(self) -> None:
        """End the process: by the end of its stdin, or after STOP_S by force."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _write(self, line: Setup | Command) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")


def _ending(code: int) -> str:
    if code >= 0:
        return f"the IEC 104 client process ended with code {code}"
    name = signal.Signals(-code).name
    cause = ": the station sent a malformed message" if -code == signal.SIGSEGV else ""
    return f"the IEC 104 client process was ended by {name}{cause}"
