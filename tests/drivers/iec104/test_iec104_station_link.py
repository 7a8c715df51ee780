"""The bus against the simulated station: what the station showed is what arrives, over faults."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from engine.errors import NoReply, Refused
from engine.reading import Quality
from simulators.iec104_points import PointSource
from simulators.iec104_station import Iec104Station


class Load:
    """Counters that grow with every look, as a load would make them."""

    def __init__(self) -> None:
        self.counts = {100: (1 << 31) - 3, 101: 5}

    def read(self, ioa: int) -> Callable[[], float]:
        def value() -> float:
            self.counts[ioa] += 2
            return self.counts[ioa]

        return value


@pytest.fixture
async def simulated() -> AsyncIterator[Iec104Station]:
    load = Load()
    points = {
        (1, 1): PointSource("float", lambda: 12500.5),
        (1, 2): PointSource("float", lambda: -3.25),
        (1, 3): PointSource("scaled", lambda: -321),
        (1, 4): PointSource("normalized", lambda: 0.5),
        (1, 100): PointSource("counter", load.read(100)),
        (1, 101): PointSource("counter", load.read(101)),
    }
    station = Iec104Station(points)
    await station.start()
    yield station
    await station.stop()


def bits(value: float) -> int:
    return int.from_bytes(struct.pack("<f", value), "little")


def latest(running: Any) -> dict[int, int]:
    """The last value of each column."""
    found: dict[int, int] = {}
    for answer in running.answers:
        found.update({column: raw for column, raw in enumerate(answer.columns) if raw is not None})
    return found


async def test_general_and_counter_interrogation_bring_all_that_the_station_has(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(simulated.port, meter())
    await running.until(lambda: len(latest(running)) == 4)
    assert latest(running) == {0: bits(12500.5), 1: bits(-3.25), 2: -321, 3: 0x4000}
    await running.bus.interrogate(running.points["press-1"])
    assert {column: latest(running)[column] for column in (4, 5)} == {4: (1 << 31) - 1, 5: 7}


async def test_every_counter_shown_arrives_and_the_roll_over_says_so(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(simulated.port, meter())
    await running.up()
    for _ in range(4):
        await running.bus.interrogate(running.points["press-1"])
    seen = [(a.columns[4], a.flags) for a in running.answers if a.columns[4] is not None]
    assert seen == [((1 << 31) - 1, 0), (1, int(Quality.COUNTER_ROLLOVER)), (3, 0), (5, 0)]
    shown = simulated.shown[1, 100]
    assert (shown.first, shown.last, shown.delivered) == (seen[0][0], seen[-1][0], 6)


async def test_a_station_that_falls_silent_is_no_reply_and_answers_again(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(simulated.port, meter(), timeout_ms=300)
    point = running.points["press-1"]
    await running.up()
    await running.bus.interrogate(point)
    simulated.faults.silent = True
    with pytest.raises(NoReply):
        await running.bus.interrogate(point)
    simulated.drop()
    simulated.faults.silent = False
    await running.until(lambda: len(running.states) == 3)
    await running.bus.interrogate(point)
    assert [up for up, _ in running.states] == [True, False, True]


async def test_a_common_address_that_the_station_does_not_know_is_refused(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(simulated.port, meter(address=9))
    await running.up()
    with pytest.raises(Refused, match="common address unknown"):
        await running.bus.interrogate(running.points["press-1"])


async def test_counters_with_a_wrong_cause_are_no_values_and_no_answer(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    simulated.faults.cause = 10
    running = rig(simulated.port, meter(), timeout_ms=300)
    await running.up()
    with pytest.raises(NoReply, match="no counter of press-1"):
        await running.bus.interrogate(running.points["press-1"])
    assert running.answers == []
    assert running.bus.discarded["cause of transmission 10"] >= 2


async def test_what_was_tagged_while_the_link_was_away_arrives_at_its_own_time(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    now = time.time_ns() // 1_000_000
    times = [now - 3_600_000 + 1000 * second for second in range(300)]
    for tag_ms in times:
        simulated.report([(1, 100), (1, 101)], tag_ms=tag_ms)
    running = rig(simulated.port, meter())
    for column, first, modulus in ((4, (1 << 31) - 1, 1 << 31), (5, 7, 1 << 31)):
        await running.until(lambda at=column: sum(a.columns[at] is not None for a in running.answers) >= 300)
        late = [answer for answer in running.answers if answer.columns[column] is not None]
        assert [answer.tag_ms for answer in late] == times
        assert [answer.columns[column] for answer in late] == [(first + 2 * n) % modulus for n in range(300)]


async def test_a_station_with_a_wrong_clock_is_taken_at_arrival_and_marked(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(simulated.port, meter())
    await running.until(lambda: len(latest(running)) == 4)
    running.answers.clear()
    simulated.faults.tag_offset_ms = 8 * 3_600_000
    simulated.report([(1, 1)], tagged=True)
    (answer,) = await running.take(1)
    assert (answer.tag_ms, answer.flags) == (None, int(Quality.QUESTIONABLE))


async def test_frozen_counters_stay_until_the_next_freeze(
    simulated: Iec104Station, rig: Callable[..., Any], meter: Callable[..., Any]
) -> None:
    running = rig(simulated.port, meter(), freeze="freeze")
    await running.up()
    await running.bus.interrogate(running.points["press-1"])
    await running.bus.interrogate(running.points["press-1"])
    assert [a.columns[5] for a in running.answers if a.columns[5] is not None] == [7, 9]
    assert [command[9] for command in simulated.commands if command[0] == 101] == [0x45, 0x05, 0x45, 0x05]
