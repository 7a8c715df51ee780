"""The link: start, loss, a crash of the client process, what its parent says and does about it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from drivers.iec104_pipe import Records
from engine.errors import LinkDown
from simulators.iec104_points import PointSource
from simulators.iec104_station import Iec104Station

Start = Callable[..., Awaitable[Any]]
GENERAL = "68 0E 00 00 00 00 64 01 06 00 01 00 00 00 00 14"
FLOAT = "68 12 00 00 02 00 0D 01 03 00 01 00 01 00 00 00 00 C8 42 00"
# Three objects announced in sequence, one there: c104 2.2.1 crashes on it.
MALFORMED = "68 12 {:02X} 00 02 00 0D 83 03 00 01 00 01 00 00 00 00 C8 42 00"


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_link_opens_with_startdt_and_a_general_interrogation_per_common_address(
    station: Any, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(station.port, meter("a", 1), meter("b", 2), meter("c", 1, ioa_base=500))
    await station.start(GENERAL)
    station.send(
        "68 0E 00 00 02 00 64 01 07 00 01 00 00 00 00 14",  # act con
        "68 12 02 00 02 00 0D 01 14 00 01 00 01 00 00 00 00 C8 42 00",
        "68 0E 04 00 02 00 64 01 0A 00 01 00 00 00 00 14",  # act term
    )
    await station.expect("68 0E 02 00 06 00 64 01 06 00 02 00 00 00 00 14")
    (answer,) = await running.take(1)
    assert (answer.meter, answer.columns[0]) == ("a", 0x42C80000)
    assert running.states == [(True, f"connected to 127.0.0.1:{station.port}")]


async def test_a_station_that_starts_anew_is_interrogated_again(station: Any, start: Start) -> None:
    await start()
    station.send("68 0E 00 00 02 00 64 01 07 00 01 00 00 00 00 14", "68 0E 02 00 02 00 64 01 0A 00 01 00 00 00 00 14")
    station.send("68 0E 04 00 02 00 46 01 04 00 01 00 00 00 00 00")  # end of initialisation
    await station.expect("68 0E 02 00 06 00 64 01 06 00 01 00 00 00 00 14")


async def test_points_are_interrogated_again_when_the_time_is_over(station: Any, start: Start) -> None:
    await start(general_interval_s=0.3)
    station.send("68 0E 00 00 02 00 64 01 07 00 01 00 00 00 00 14", "68 0E 02 00 02 00 64 01 0A 00 01 00 00 00 00 14")
    await station.expect("68 0E 02 00 04 00 64 01 06 00 01 00 00 00 00 14")


async def test_a_link_whose_startdt_stays_unanswered_is_asked_for_it_again(
    station: Any, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(station.port, meter())
    await station.accept()
    await station.expect("68 04 07 00 00 00", "68 04 07 00 00 00")
    station.send("68 04 0B 00 00 00")
    await running.up()


async def test_a_cut_connection_is_reported_and_comes_back_by_itself(station: Any, start: Start) -> None:
    running = await start()
    station.send(FLOAT)
    await running.take(1)
    station.cut()
    await station.start(GENERAL)
    await running.until(lambda: len(running.states) == 3)
    station.send(FLOAT)
    await running.take(1)
    where = f"127.0.0.1:{station.port}"
    assert running.states == [
        (True, f"connected to {where}"),
        (False, f"the connection to {where} was cut"),
        (True, f"connected to {where}"),
    ]


async def test_a_malformed_message_costs_one_client_process_and_no_reading_of_any_link(
    station: Any, start: Start, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    count = iter(range(1_000_000))
    neighbour = Iec104Station(
        {(1, 1): PointSource("float", lambda: float(next(count)))}, spontaneous_s=0.02
    )
    await neighbour.start()
    other = rig(neighbour.port, meter("other"))
    running = await start()
    await other.until(lambda: len(other.answers) > 20)

    station.send(FLOAT)
    await running.take(1)  # what came before is kept
    station.send(MALFORMED.format(2))
    await station.start(GENERAL)
    await running.until(lambda: len(running.states) == 3)
    station.send(FLOAT)
    await running.take(1)
    assert [up for up, _ in running.states] == [True, False, True]
    assert "SIGSEGV" in running.states[1][1]
    assert "malformed" in running.states[1][1]

    seen = len(other.answers)
    await other.until(lambda: len(other.answers) > seen + 20)
    await neighbour.stop()
    values = [int.from_bytes(a.columns[0].to_bytes(4, "little"), "little") for a in other.answers if a.tag_ms]
    assert len(values) > 40
    assert values == sorted(set(values))  # positive floats sort as their bit patterns: none twice, none astray
    assert [up for up, _ in other.states[:1]] == [True]


async def test_a_station_that_is_not_there_is_named_with_the_command_that_shows_why(
    station: Any, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    await station.close()
    point = meter()
    running = rig(station.port, point)
    await running.until(lambda: bool(running.states))
    assert running.states == [(False, f"no connection to 127.0.0.1:{station.port}")]
    with pytest.raises(LinkDown) as refused:
        await running.bus.interrogate(point)
    assert f"nc -zv 127.0.0.1 {station.port}" in refused.value.hint
    await station.listen()
    await station.start(GENERAL)
    await running.up()


async def test_a_host_without_an_address_is_a_state_of_the_bus_and_is_tried_again(
    rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(2404, meter(), host="no-such-host.invalid")
    await running.until(lambda: bool(running.states))
    assert running.states[0][0] is False
    assert "no-such-host.invalid" in running.states[0][1]


async def test_a_client_process_that_cannot_start_is_tried_until_it_does(
    station: Any, rig: Callable[..., Any], meter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    running = rig(station.port, meter())
    await running.until(lambda: bool(running.states))
    monkeypatch.undo()
    await station.start(GENERAL)
    await running.up()
    assert [up for up, _ in running.states] == [False, True]
    assert "cannot be started" in running.states[0][1]
    assert "/no/such/python" in running.states[0][1]


async def test_the_client_process_ends_with_the_bus(station: Any, start: Start) -> None:
    running = await start()
    pid = running.bus.client_pid
    assert not gone(pid)
    await running.stop()
    assert gone(pid)


async def test_the_client_process_ends_with_its_parent(station: Any) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "drivers.iec104_child",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(b'{"host": "127.0.0.1", "port": %d}\n' % station.port)
    await station.start()
    child.send_signal(signal.SIGINT)  # both go to the whole group: the parent is to decide
    child.send_signal(signal.SIGTERM)
    station.send(FLOAT)
    assert child.stdout is not None
    await asyncio.wait_for(child.stdout.readuntil(bytes.fromhex("0D 01 03 00 01 00 01 00 00 00 00 C8 42 00")), 10)
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 10) == 0


def test_records_are_found_however_the_pipe_cuts_them() -> None:
    stream = bytes.fromhex("01 0500000000000000 0300 616263" "02 0600000000000000 0000")
    whole = [(1, 5, b"abc"), (2, 6, b"")]
    for cut in range(len(stream) + 1):
        records = Records()
        assert [*records.feed(stream[:cut]), *records.feed(stream[cut:])] == whole
