"""Counter interrogation with our own deadline: answered, refused, silent, shared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from engine.errors import LinkDown, NoReply, Refused

Start = Callable[..., Awaitable[Any]]
ASK = "68 0E 02 00 {} 65 01 06 00 01 00 00 00 00 05"  # C_CI_NA_1, activation, CA 1, general, read without freeze
CON = "68 0E {:02X} 00 04 00 65 01 07 00 01 00 00 00 00 05"
TERM = "68 0E {:02X} 00 04 00 65 01 0A 00 01 00 00 00 00 05"
BOTH = "68 1A {:02X} 00 04 00 0F 02 25 00 01 00 64 00 00 39 30 00 00 00 65 00 00 07 00 00 00 00"
IMPORT = "68 12 {:02X} 00 04 00 0F 01 25 00 01 00 64 00 00 39 30 00 00 00"


async def asked(station: Any, running: Any, *points: Any) -> list[asyncio.Task[None]]:
    """Interrogations under way, the command taken."""
    tasks = [asyncio.create_task(running.bus.interrogate(p)) for p in points or running.points.values()]
    await station.expect(ASK.format("00 00"))
    return tasks


async def test_an_interrogation_ends_when_all_counters_came(station: Any, start: Start) -> None:
    running = await start()
    (task,) = await asked(station, running)
    station.send(CON.format(0), BOTH.format(2))  # no termination, as many stations do
    await task
    (answer,) = await running.take(1)
    assert answer.columns == (None, None, None, None, 12345, 7)


async def test_a_station_that_has_only_one_of_the_counters_answers_by_its_termination(
    station: Any, start: Start
) -> None:
    running = await start()
    (task,) = await asked(station, running)
    station.send(CON.format(0), IMPORT.format(2), TERM.format(4))
    await task
    (answer,) = await running.take(1)
    assert answer.columns == (None, None, None, None, 12345, None)


async def test_a_station_that_confirms_nothing_but_sends_its_counters_has_answered(
    station: Any, start: Start
) -> None:
    running = await start(timeout_ms=300)
    (task,) = await asked(station, running)
    station.send(IMPORT.format(0))
    await task
    assert len(running.answers) == 1


async def test_silence_is_no_reply_after_our_own_deadline(station: Any, start: Start) -> None:
    running = await start(timeout_ms=200)
    (task,) = await asked(station, running)
    with pytest.raises(NoReply, match=r"did not answer interrogation type 101 within 0\.2 s"):
        await task


async def test_a_confirmation_without_counters_is_no_reply(station: Any, start: Start) -> None:
    running = await start()
    (task,) = await asked(station, running)
    station.send(CON.format(0), TERM.format(2))
    with pytest.raises(NoReply, match="sent no counter of press-1") as caught:
        await task
    assert "ioa_base" in caught.value.hint


async def test_counters_that_come_by_themselves_are_no_answer_to_an_interrogation(
    station: Any, start: Start
) -> None:
    running = await start(timeout_ms=300)
    (task,) = await asked(station, running)
    station.send("68 1A 00 00 04 00 0F 02 03 00 01 00 64 00 00 39 30 00 00 00 65 00 00 07 00 00 00 00")
    with pytest.raises(NoReply):
        await task
    assert len(running.answers) == 1  # a value all the same


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        ("68 0E 00 00 04 00 65 01 47 00 01 00 00 00 00 05", 7, "negative confirmation"),
        ("68 0E 00 00 04 00 65 01 6C 00 01 00 00 00 00 05", 44, "type unknown"),
        ("68 0E 00 00 04 00 65 01 2E 00 01 00 00 00 00 05", 46, "common address unknown"),
    ],
)
async def test_a_refusal_is_told_at_once(station: Any, start: Start, answer: str, code: int, why: str) -> None:
    running = await start(timeout_ms=60_000)
    (task,) = await asked(station, running)
    station.send(answer)
    with pytest.raises(Refused, match=why) as caught:
        await task
    assert caught.value.code == code


async def test_a_lost_link_ends_the_interrogation(station: Any, start: Start) -> None:
    running = await start(timeout_ms=60_000)
    (task,) = await asked(station, running)
    station.cut()
    with pytest.raises(LinkDown, match="was cut"):
        await task


async def test_meters_of_one_common_address_share_one_command(
    station: Any, start: Start, meter: Callable[..., Any]
) -> None:
    running = await start(meter("a"), meter("b", ioa_base=0x100), meter("c", ioa_base=0x200), timeout_ms=2000)
    a, b, c = await asked(station, running)
    # IOA 0x64, 0x65 of a; 0x164 of b; then the end: c has none
    station.send(
        CON.format(0), BOTH.format(2), "68 12 04 00 04 00 0F 01 25 00 01 00 64 01 00 05 00 00 00 00", TERM.format(6)
    )
    await asyncio.gather(a, b)
    with pytest.raises(NoReply, match="no counter of c"):
        await c
    assert [(x.meter, x.columns[4]) for x in await running.take(2)] == [("a", 12345), ("b", 5)]
    again = asyncio.create_task(running.bus.interrogate(running.points["a"]))
    await station.expect("68 0E 04 00 08 00 65 01 06 00 01 00 00 00 00 05")
    station.send("68 1A 08 00 06 00 0F 02 25 00 01 00 64 00 00 3A 30 00 00 00 65 00 00 07 00 00 00 00")
    await again


async def test_the_same_meter_never_takes_an_old_answer_for_a_new_one(
    station: Any, start: Start, meter: Callable[..., Any]
) -> None:
    running = await start(meter("a"), meter("b", ioa_base=0x100), timeout_ms=500)
    a, b = await asked(station, running)
    station.send(CON.format(0), BOTH.format(2))
    await a  # b still waits, so the command is still open
    again = asyncio.create_task(running.bus.interrogate(running.points["a"]))
    await station.expect("68 0E 04 00 04 00 65 01 06 00 01 00 00 00 00 05")
    results = await asyncio.gather(again, b, return_exceptions=True)
    assert [type(result) for result in results] == [NoReply, NoReply]


async def test_the_end_of_an_earlier_interrogation_does_not_end_the_next(station: Any, start: Start) -> None:
    running = await start()
    (task,) = await asked(station, running)
    station.send(CON.format(0), BOTH.format(2))
    await task
    again = asyncio.create_task(running.bus.interrogate(running.points["press-1"]))
    await station.expect("68 0E 04 00 04 00 65 01 06 00 01 00 00 00 00 05")
    station.send(TERM.format(4), CON.format(6), BOTH.format(8), TERM.format(10))
    await again
    assert len(running.answers) == 2


async def test_counters_are_frozen_before_they_are_read_where_that_is_asked_for(
    station: Any, start: Start
) -> None:
    running = await start(freeze="freeze")
    task = asyncio.create_task(running.bus.interrogate(running.points["press-1"]))
    await station.expect("68 0E 02 00 00 00 65 01 06 00 01 00 00 00 00 45")  # general, freeze without reset
    station.send(
        "68 0E 00 00 04 00 65 01 07 00 01 00 00 00 00 45", "68 0E 02 00 04 00 65 01 0A 00 01 00 00 00 00 45"
    )
    await station.expect("68 0E 04 00 04 00 65 01 06 00 01 00 00 00 00 05")
    station.send(BOTH.format(4))
    await task


async def test_a_map_without_counters_answers_while_its_power_is_topical(
    station: Any, start: Start, meter: Callable[..., Any]
) -> None:
    point = meter("fan-1", profile="power")
    running = await start(point)
    power = "68 12 {:02X} 00 02 00 0D 01 03 00 01 00 01 00 00 00 00 C8 42 {:02X}"
    found = [running.bus.answers(point)]
    station.send("68 12 00 00 02 00 0D 01 03 00 01 00 02 00 00 00 00 48 42 00")  # frequency alone is not enough
    await running.take(1)
    found.append(running.bus.answers(point))
    for number, octet in enumerate((0x00, 0x40, 0x01, 0x80, 0x00), 1):
        station.send(power.format(2 * number, octet))
        await running.take(1)
        found.append(running.bus.answers(point))
    station.cut()
    await running.until(lambda: not running.states[-1][0])
    found.append(running.bus.answers(point))
    assert found == [False, False, True, False, True, False, True, False]
