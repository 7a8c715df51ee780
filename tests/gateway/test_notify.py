"""sd_notify over a real AF_UNIX datagram socket, by path and abstract."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.notify import notify, status_line, watchdog_s

Systemd = tuple[socket.socket, dict[str, str]]


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    name = f"@wattledger-{os.getpid()}-{id(request)}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name.replace("@", "\0"))
        server.settimeout(2)
        yield server, {"NOTIFY_SOCKET": name}


def test_every_message_is_one_datagram(systemd: Systemd) -> None:
    server, env = systemd
    assert notify("READY=1", status_line("3 meters,\n2 buses"), env=env)
    assert notify("WATCHDOG=1", env=env)
    assert notify("STOPPING=1", env=env)
    assert [server.recv(4096) for _ in range(3)] == [
        b"READY=1\nSTATUS=3 meters, 2 buses", b"WATCHDOG=1", b"STOPPING=1",
    ]  # fmt: skip


def test_a_deaf_systemd_never_blocks_the_process(systemd: Systemd) -> None:
    _, env = systemd
    taken = sum(notify("WATCHDOG=1", env=env) for _ in range(5000))
    assert 0 < taken < 5000


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_systemd_nothing_is_sent(env: dict[str, str]) -> None:
    assert not notify("READY=1", env=env)


def test_a_socket_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not notify("READY=1", env={"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_the_watchdog_is_due_in_half_of_what_the_unit_allows() -> None:
    assert watchdog_s({"WATCHDOG_USEC": "60000000"}) == 30.0
    assert watchdog_s({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}) == 30.0
    assert watchdog_s({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}) == 0.0
    assert watchdog_s({}) == 0.0
