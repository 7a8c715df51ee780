"""The IEC 104 client process: c104 carries the protocol, this file carries the bytes out of it.

`python -m drivers.iec104_child`. First line on stdin: `{"host": …, "port": …}`; further lines: commands of
iec104_pipe.py. stdout: its records. It ends at the end of stdin, so with its parent.
It is a process of its own because one ASDU too short for its object count makes c104 2.2.1 crash. Values are
taken from the bytes as received: c104's own points exchange CY and CA, and hide a wrong cause or length.
"""

# No `from __future__ import annotations` here: c104 refuses a callback whose annotations are texts.
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from typing import cast

import c104

from drivers.iec104_pipe import Command, Kind, Setup, pack

TICK_S = 0.25
MUTED_TICKS = 2  # after so many ticks a link without STARTDT is asked for it again
COMMANDS_MAX = 1024
COMMAND_AGE_MAX_S = 2.0  # an older one is dropped: its deadline in the parent has gone or is near
_FREEZE = {"counters": c104.Frz.READ, "freeze": c104.Frz.FREEZE_WITHOUT_RESET}


class Records:
    """Writes whole records to a pipe, from whichever thread c104 calls on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, kind: Kind, payload: bytes) -> None:
        record = pack(kind, time.monotonic_ns(), payload)
        with self._lock:
            while record:
                try:
                    record = record[os.write(self._descriptor, record) :]
                except BrokenPipeError:
                    os._exit(1)  # the parent is gone, and on c104's thread nothing else ends the process


class Client:
    """One connection of c104, without points of its own: every ASDU goes out as it came in."""

    def __init__(self, setup: Setup, records: Records) -> None:
        self._records = records
        self._muted = 0
        self._client = c104.Client(tick_rate_ms=100, command_timeout_ms=1000)
        # Init.ALL would interrogate the broadcast address and set the station's clock.
        link = self._client.add_connection(_address(setup["host"]), setup["port"], c104.Init.NONE)
        if link is None:
            raise OSError(f"c104 refuses {setup['host']}:{setup['port']}")
        self._link = link
        self._pending: deque[tuple[float, Command]] = deque(maxlen=COMMANDS_MAX)
        link.on_receive_raw(callable=self.received)
        link.on_state_change(callable=self.changed)
        self._client.start()

    def received(self, connection: c104.Connection, data: bytes) -> None:
        if not data[2] & 1:
            self._records.write(Kind.ASDU, data[6:])

    def changed(self, connection: c104.Connection, state: c104.ConnectionState) -> None:
        self._records.write(Kind.STATE, state.name.encode())

    def command(self, command: Command) -> None:
        self._pending.append((time.monotonic(), command))

    def work(self) -> bool:
        """Send what waits; True if some has to wait: the window of unacknowledged frames is full."""
        while self._pending:
            since, command = self._pending[0]
            fresh = time.monotonic() - since < COMMAND_AGE_MAX_S
            if fresh and not self._send(command):
                return True
            self._pending.popleft()
        return False

    def look(self) -> None:
        """Ask again for STARTDT where the link came up without it, which c104 often does."""
        self._muted = self._muted + 1 if self._link.state == c104.ConnectionState.OPEN_MUTED else 0
        if self._muted == MUTED_TICKS:
            self._muted = 0
            self._link.unmute()

    def stop(self) -> None:
        self._client.stop()

    def _send(self, command: Command) -> bool:
        if self._link.state != c104.ConnectionState.OPEN:
            return False
        if command["command"] == "general":
            return self._link.interrogation(
                command["ca"], c104.Cot.ACTIVATION, c104.Qoi.STATION, wait_for_response=False
            )
        freeze = _FREEZE[command["command"]]
        return self._link.counter_interrogation(
            command["ca"], c104.Cot.ACTIVATION, c104.Rqt.GENERAL, freeze, wait_for_response=False
        )


def _address(host: str) -> str:
    found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    return str(found[0][4][0])


class Lines:
    """Lines of stdin as they come, without blocking for longer than asked."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def read(self, wait_s: float) -> list[bytes]:
        ready, _, _ = select.select([self._descriptor], [], [], wait_s)
        if not ready:
            return []
        chunk = os.read(self._descriptor, 65536)
        self.ended = not chunk
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return whole


def serve(lines: Lines, records: Records) -> int:
    """Serve until stdin ends. Returns the exit code."""
    client: Client | None = None
    waiting, look_at = False, 0.0
    while not lines.ended:
        for line in lines.read(0.01 if waiting else TICK_S):
            if client is not None:
                client.command(cast(Command, json.loads(line)))
                continue
            try:
                client = Client(cast(Setup, json.loads(line)), records)
            except (OSError, ValueError) as error:
                records.write(Kind.FAULT, f"no address for {line.decode()}: {error}".encode())
                return 1
        if client is None:
            continue
        waiting = client.work()
        if time.monotonic() >= look_at:
            client.look()
            look_at = time.monotonic() + TICK_S
    if client is not None:
        client.stop()
    return 0


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash of c104 must not fill the disk
    # A terminal and systemd signal the whole group; the parent ends this process, by stdin, when it is ready to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return serve(Lines(0), Records(1))


if __name__ == "__main__":
    sys.exit(main())
