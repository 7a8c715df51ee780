"""sd_notify over a real AF_UNIX datagram socket, by path and abstract."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, Notifier]]:
    name = f"@wattledger-{os.getpid()}-{id(request)}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name.replace("@", "\0"))
        server.settimeout(2)
        yield server, Notifier({"NOTIFY_SOCKET": name})


def test_every_message_is_one_datagram(systemd: tuple[socket.socket, Notifier]) -> None:
    server, notifier = systemd
    assert notifier.ready("3 meters,\n2 buses")
    assert notifier.status("all well")
    assert notifier.watchdog()
    assert notifier.reloading(123456)
    assert notifier.stopping()
    assert [server.recv(4096) for _ in range(5)] == [
        b"READY=1\nSTATUS=3 meters, 2 buses", b"STATUS=all well", b"WATCHDOG=1",
        b"RELOADING=1\nMONOTONIC_USEC=123456", b"STOPPING=1",
    ]  # fmt: skip


def test_a_deaf_systemd_never_blocks_the_process(systemd: tuple[socket.socket, Notifier]) -> None:
    _, notifier = systemd
    taken = sum(notifier.watchdog() for _ in range(5000))
    assert 0 < taken < 5000


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_systemd_nothing_is_sent(env: dict[str, str]) -> None:
    assert not Notifier(env).ready()


def test_a_socket_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def test_the_watchdog_is_due_in_half_of_what_the_unit_allows() -> None:
    assert Notifier({"WATCHDOG_USEC": "60000000"}).watchdog_s == 30.0
    assert Notifier({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 30.0
    assert Notifier({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}).watchdog_s == 0.0
    assert Notifier({}).watchdog_s == 0.0
