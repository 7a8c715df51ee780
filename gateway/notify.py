"""Talk to systemd (sd_notify): one datagram to $NOTIFY_SOCKET. Without systemd nothing happens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """READY, STATUS, WATCHDOG, RELOADING and STOPPING of one process. Sending never blocks and never fails:
    for a message that systemd did not take, its own watchdog and start time-out answer."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        path = env.get("NOTIFY_SOCKET", "")
        # A leading @ is systemd's way to write an abstract socket.
        self._address = "\0" + path[1:] if path.startswith("@") else path if path.startswith("/") else ""
        usec = env.get("WATCHDOG_USEC", "")
        mine = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog_s = int(usec) / 2e6 if mine and usec.isdecimal() else 0.0

    @property
    def watchdog_s(self) -> float:
        """How often `watchdog()` is due [s]: half of what the unit allows; 0 = nobody waits for it."""
        return self._watchdog_s

    def ready(self, status: str = "") -> bool:
        """The process does its work from now on. Like all of these: True if systemd took it."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(text))

    def watchdog(self) -> bool:
        """Alive; due every `watchdog_s` seconds if that is not 0."""
        return self._send("WATCHDOG=1")

    def reloading(self, monotonic_us: int) -> bool:
        """SIGHUP is being served; `ready()` ends it. `monotonic_us` is CLOCK_MONOTONIC in µs."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_us}")

    def stopping(self) -> bool:
        """A clean stop has begun."""
        return self._send("STOPPING=1")

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            try:
                channel.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return False
        return True


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())
