"""Talk to systemd (sd_notify): one datagram to $NOTIFY_SOCKET. Without systemd nothing happens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify(*lines: str, env: Mapping[str, str] = os.environ) -> bool:
    """Send `READY=1`, `WATCHDOG=1`, `STOPPING=1`, `status_line(…)` …; True if systemd took it. Never blocks.

    A lost datagram is no fault of ours to raise: systemd's own watchdog answers for a missing `WATCHDOG=1`.
    """
    path = env.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    # A leading @ is systemd's way to write an abstract socket.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)
        try:
            channel.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
    return True


def status_line(text: str) -> str:
    """`STATUS=…` on one line, shown by `systemctl status`."""
    return "STATUS=" + " ".join(text.split())


def watchdog_s(env: Mapping[str, str] = os.environ) -> float:
    """How often `WATCHDOG=1` is due [s]: half of what the unit allows; 0 = no watchdog for this process."""
    usec = env.get("WATCHDOG_USEC", "")
    mine = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 2e6 if mine and usec.isdecimal() else 0.0
