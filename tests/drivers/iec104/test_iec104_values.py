"""APDUs typed from the standard, through the real client process, to Answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from drivers.bus import Answer
from engine.reading import Quality

Start = Callable[..., Awaitable[Any]]


def ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)


def shown(answers: list[Answer]) -> list[tuple[tuple[int | None, ...], int, int | None]]:
    return [(answer.columns, answer.flags, answer.tag_ms) for answer in answers]


async def test_a_short_float_arrives_as_its_bit_pattern(station: Any, start: Start) -> None:
    running = await start()
    before = time.monotonic_ns()
    # type 13, 1 object, cause 3, CA 1, IOA 1, 100.0, QDS 0
    station.send("68 12 00 00 02 00 0D 01 03 00 01 00 01 00 00 00 00 C8 42 00")
    (answer,) = await running.take(1)
    assert answer.meter == "press-1"
    assert answer.columns == (0x42C80000, None, None, None, None, None)
    assert (answer.flags, answer.tag_ms) == (0, None)
    assert before <= answer.mono_ns <= time.monotonic_ns()


async def test_a_signalling_nan_and_a_negative_zero_keep_every_bit(station: Any, start: Start) -> None:
    running = await start()
    # SQ = 0, 2 objects: IOA 1 = 0x7FA00001, IOA 2 = 0x80000000
    station.send(
        "68 1A 00 00 02 00 0D 02 03 00 01 00 01 00 00 01 00 A0 7F 00 02 00 00 00 00 00 80 00"
    )
    assert shown(await running.take(1)) == [((0x7FA00001, 0x80000000, None, None, None, None), 0, None)]


async def test_a_sequence_of_objects_counts_its_addresses_upwards(station: Any, start: Start) -> None:
    running = await start()
    # type 13, SQ = 1, 2 objects, cause 20, from IOA 1: 100.0, -2.5
    station.send("68 17 00 00 02 00 0D 82 14 00 01 00 01 00 00 00 00 C8 42 00 00 00 20 C0 00")
    assert shown(await running.take(1)) == [((0x42C80000, 0xC0200000, None, None, None, None), 0, None)]


async def test_scaled_and_normalized_values_are_signed_16_bit(station: Any, start: Start) -> None:
    running = await start()
    station.send(
        "68 10 00 00 02 00 0B 01 01 00 01 00 03 00 00 FE FF 00",  # type 11 scaled, periodic: -2
        "68 10 02 00 02 00 09 01 01 00 01 00 04 00 00 00 80 00",  # type 9 normalized: -32768
        "68 0F 04 00 02 00 15 01 01 00 01 00 04 00 00 FF 7F",  # type 21 normalized without quality: 32767
    )
    assert shown(await running.take(3)) == [
        ((None, None, -2, None, None, None), 0, None),
        ((None, None, None, -32768, None, None), 0, None),
        ((None, None, None, 32767, None, None), 0, None),
    ]


async def test_tagged_values_carry_the_station_s_time(station: Any, start: Start) -> None:
    day = datetime(2026, 11, 20, 8, 0, 3, tzinfo=UTC)
    running = await start(wall_ms=lambda _: int(day.timestamp() * 1000) + 500)
    # CP56Time2a 2026-11-20 08:00:03.120: 3120 ms = 30 0C, minute 0, hour 8, day 20 of weekday 5 = B4, month 11, 26
    station.send(
        "68 19 00 00 02 00 24 01 03 00 01 00 01 00 00 00 00 C8 42 00 30 0C 00 08 B4 0B 1A",  # type 36 float
        "68 17 02 00 02 00 23 01 03 00 01 00 03 00 00 0A 00 00 30 0C 00 08 B4 0B 1A",  # type 35 scaled
        "68 17 04 00 02 00 22 01 03 00 01 00 04 00 00 00 40 00 30 0C 00 08 B4 0B 1A",  # type 34 normalized
        "68 19 06 00 02 00 25 01 25 00 01 00 64 00 00 39 30 00 00 00 30 0C 00 08 B4 0B 1A",  # type 37 counter
    )
    at = ms(2026, 11, 20, 8, 0, 3) + 120
    assert shown(await running.take(4)) == [
        ((0x42C80000, None, None, None, None, None), 0, at),
        ((None, None, 10, None, None, None), 0, at),
        ((None, None, None, 0x4000, None, None), 0, at),
        ((None, None, None, None, 12345, None), 0, at),
    ]


async def test_a_time_tag_that_is_invalid_or_out_of_bounds_gives_way_to_the_arrival(
    station: Any, start: Start
) -> None:
    now = datetime(2026, 11, 20, 8, 0, 3, tzinfo=UTC) + timedelta(days=31)
    running = await start(wall_ms=lambda _: int(now.timestamp() * 1000))
    head = "68 19 {:02X} 00 02 00 24 01 03 00 01 00 01 00 00 00 00 C8 42 00 "
    tags = (
        "B8 0B 00 08 B4 0B 1A",  # exactly 31 days ago: 08:00:03.000
        "B7 0B 00 08 B4 0B 1A",  # 1 ms older
        "C8 32 00 08 75 0C 1A",  # 2026-12-21 08:00:13.000, 10 s ahead
        "C9 32 00 08 75 0C 1A",  # 1 ms further
        "B8 0B 80 08 75 0C 1A",  # the right time with the IV bit
        "B8 0B 00 08 7E 02 1A",  # 30 February
    )
    station.send(*(head.format(2 * number) + tag for number, tag in enumerate(tags)))
    questionable = int(Quality.QUESTIONABLE)
    assert [(flags, tag) for _, flags, tag in shown(await running.take(6))] == [
        (0, ms(2026, 11, 20, 8, 0, 3)),
        (questionable, None),
        (0, ms(2026, 12, 21, 8, 0, 13)),
        (questionable, None),
        (questionable, None),
        (questionable, None),
    ]


async def test_every_quality_bit_becomes_its_flag(station: Any, start: Start) -> None:
    running = await start()
    octets = (0x80, 0x40, 0x20, 0x10, 0x01, 0xF1)
    station.send(*(
        f"68 12 {2 * n:02X} 00 02 00 0D 01 03 00 01 00 01 00 00 00 00 C8 42 {octet:02X}"
        for n, octet in enumerate(octets)
    ))  # fmt: skip
    flags = [
        Quality.INVALID_DEVICE_FAULT, Quality.LAST_VALUE_HELD, Quality.SUBSTITUTED_AT_SOURCE, Quality.BLOCKED,
        Quality.QUESTIONABLE,
    ]  # fmt: skip
    flags.append(flags[0] | flags[1] | flags[2] | flags[3] | flags[4])
    assert [flag for _, flag, _ in shown(await running.take(6))] == [int(flag) for flag in flags]


async def test_carry_is_bit_5_and_adjusted_is_bit_6_and_neither_is_exchanged(station: Any, start: Start) -> None:
    running = await start()
    octets = (0x00, 0x1F, 0x25, 0x45, 0x85)  # plain; sequence number 31; CY; CA; IV, each with a sequence number
    station.send(*(
        f"68 12 {2 * n:02X} 00 02 00 0F 01 25 00 01 00 64 00 00 FF FF FF 7F {octet:02X}"
        for n, octet in enumerate(octets)
    ))  # fmt: skip
    answers = shown(await running.take(5))
    assert {columns[4] for columns, _, _ in answers} == {2147483647}
    assert [flags for _, flags, _ in answers] == [
        0, 0, int(Quality.COUNTER_ROLLOVER), int(Quality.COUNTER_ADJUSTED), int(Quality.INVALID_DEVICE_FAULT)
    ]  # fmt: skip


async def test_objects_of_one_message_part_by_quality_into_two_answers(station: Any, start: Start) -> None:
    running = await start()
    # two counters: IOA 100 = 1, good; IOA 101 = -1, invalid
    station.send("68 1A 00 00 02 00 0F 02 25 00 01 00 64 00 00 01 00 00 00 00 65 00 00 FF FF FF FF 80")
    assert shown(await running.take(2)) == [
        ((None, None, None, None, 1, None), 0, None),
        ((None, None, None, None, None, -1), int(Quality.INVALID_DEVICE_FAULT), None),
    ]


async def test_two_meters_of_one_station_are_told_apart_by_ioa_base(
    station: Any, start: Start, meter: Callable[..., Any]
) -> None:
    running = await start(meter("press-1"), meter("press-2", ioa_base=0x4000))
    # one message with IOA 1 = 100.0 and IOA 0x4001 = -2.5
    station.send("68 1A 00 00 02 00 0D 02 03 00 01 00 01 00 00 00 00 C8 42 00 01 40 00 00 00 20 C0 00")
    first, second = await running.take(2)
    assert (first.meter, first.columns[0]) == ("press-1", 0x42C80000)
    assert (second.meter, second.columns[0]) == ("press-2", 0xC0200000)


async def test_what_is_no_value_of_ours_is_counted_and_never_delivered(station: Any, start: Start) -> None:
    running = await start()
    station.send(
        "68 12 00 00 02 00 0D 01 06 00 01 00 01 00 00 00 00 C8 42 00",  # cause 6: a command's cause
        "68 12 02 00 02 00 0D 01 43 00 01 00 01 00 00 00 00 C8 42 00",  # negative
        "68 12 04 00 02 00 0D 01 83 00 01 00 01 00 00 00 00 C8 42 00",  # test bit
        "68 10 06 00 02 00 0B 01 03 00 01 00 01 00 00 64 00 00",  # scaled where the profile says float
        "68 13 08 00 02 00 0D 01 03 00 01 00 01 00 00 00 00 C8 42 00 00",  # one byte too many
        "68 12 0A 00 02 00 0D 01 03 00 02 00 01 00 00 00 00 C8 42 00",  # another common address
        "68 12 0C 00 02 00 0D 01 03 00 01 00 09 00 00 00 00 C8 42 00",  # an address that nobody claims
        "68 0E 0E 00 02 00 01 01 03 00 01 00 01 00 00 01",  # a single point, M_SP_NA_1
        "68 12 10 00 02 00 0D 01 03 00 01 00 02 00 00 00 00 20 C0 00",  # good, and the only one delivered
    )
    assert shown(await running.take(1)) == [((None, 0xC0200000, None, None, None, None), 0, None)]
    assert running.answers == []
    assert dict(running.bus.discarded) == {
        "cause of transmission 6": 1,
        "negative confirmation": 1,
        "test message": 1,
        "type 11 where the profile says float": 1,
        "type 13: 1 objects need 14 bytes, 15 came": 1,
    }
