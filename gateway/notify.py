"""Talk to systemd (sd_notify): one datagram to $NOTIFY_SOCKET. Without systemd nothing happens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """READY, STATUS, WATCHDOG and STOPPING of one process. Sending never blocks and never raises OSError."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        path = env.get("NOTIFY_SOCKET", "")
        # A leading @ is systemd's way to write an abstract socket.
        self._address = "\0" + path[1:] if path.startswith("@") else path if path.startswith("/") else ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        own = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = env.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 2e6 if own and usec.isdecimal() else 0.0
        self.lost = 0

    @property
    def enabled(self) -> bool:
        """Started by systemd with Type=notify."""
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        """The process does its work from now on."""
        self._send("READY=1", status)

    def reloading(self, monotonic_us: int) -> None:
        """SIGHUP is being served; `ready()` ends it. `monotonic_us` is CLOCK_MONOTONIC in µs."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("", text)

    def watchdog(self) -> None:
        """Alive; due every `watchdog_s` seconds if that is not 0."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """A clean stop has begun."""
        self._send("STOPPING=1")

    def close(self) -> None:
        self._socket.close()

    def _send(self, state: str, status: str = "") -> None:
        if not self._address:
            return
        lines = [state] if state else []
        if status:
            lines.append("STATUS=" + " ".join(status.split()))
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:  # metering does not stop because systemd does not listen; `lost` shows it
            self.lost += 1
