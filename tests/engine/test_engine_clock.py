"""A clock that is set back shows a time twice: not one milliwatt hour may be lost or invented by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.jit import load
from engine.ledger import Closed, DeviceConfig, Engine, Sample
from engine.reading import Quality

T0 = 1_763_625_600_000  # a quarter hour, UTC
HOUR = 3_600_000
KWH = 1_000_000  # mWh
STEP = 100 * KWH // 3600  # 100 kW for one second
CONFIG = DeviceConfig("m", 1000, 250_000_000, resolution_mwh=(1,) * 4)
OVERLAP = int(Quality.EST_LINEAR | Quality.QUESTIONABLE)


def samples(polls: range, back_ms: int = 0, mode: str = "counters") -> list[Sample]:
    """100 kW, one poll a second; `back_ms` is what the clock was set back by before these polls."""
    power = 100_000_000 if mode == "integrate" else None
    return [Sample("m", T0 + 1000 * i - back_ms, 0, 7 * KWH + STEP * i, power_mw=power) for i in polls]


def energy(engine: Engine, *closed: Closed) -> int:
    block = engine.open_block("m")
    assert block is not None
    return sum(row.import_mwh or 0 for row in [*(row for some in closed for row in some.intervals), block])


def kinds(*closed: Closed) -> set[str]:
    return {found.kind for some in closed for found in some.continuity}


def keep(engine: Engine) -> Engine:
    return engine


def store(engine: Engine) -> Engine:
    return Engine.restore(engine.snapshot(), engine.devices, engine.interval_ms)


@pytest.mark.parametrize("back_ms", [3000, 10_000, HOUR])
@pytest.mark.parametrize("carry", [keep, store])
def test_a_clock_set_back_keeps_the_register_difference_exactly(
    back_ms: int, carry: Callable[[Engine], Engine]
) -> None:
    engine = Engine([CONFIG], 60_000)
    before = engine.ingest(samples(range(1800)))
    engine.clock_went_back(back_ms)
    engine = carry(engine)
    after = engine.ingest(samples(range(1800, 7200), back_ms))
    assert energy(engine, before, after) == STEP * 7199
    assert kinds(before, after) == {"late"}
    (marked,) = (row for row in after.intervals if row.flags)
    assert (marked.start_ms, marked.flags) == (T0 + 1_740_000, OVERLAP)
    assert {part.import_mwh for part in marked.parts.values()} == {STEP * (back_ms // 1000 + 1)}
    assert marked.import_mwh == STEP * (back_ms // 1000 + 60)


def test_without_the_word_of_the_clock_the_same_readings_are_a_jump() -> None:
    engine = Engine([CONFIG], 60_000)
    before = engine.ingest(samples(range(1800)))
    after = engine.ingest(samples(range(1800, 7200), HOUR))
    assert kinds(before, after) == {"late", "counter_jump"}
    assert energy(engine, before, after) < STEP * 7199


def test_a_clock_set_back_twice_allows_both_times() -> None:
    engine = Engine([CONFIG], 60_000)
    closed = [engine.ingest(samples(range(1800)))]
    engine.clock_went_back(HOUR)
    closed.append(engine.ingest(samples(range(1800, 2400), HOUR)))
    engine.clock_went_back(HOUR)
    closed.append(engine.ingest(samples(range(2400, 10_000), 2 * HOUR)))
    assert energy(engine, *closed) == STEP * 9999
    assert kinds(*closed) == {"late"}


@pytest.mark.parametrize("back_ms", [3000, HOUR])
def test_a_jump_after_the_overlap_is_still_a_jump(back_ms: int) -> None:
    engine = Engine([CONFIG], 60_000)
    before = engine.ingest(samples(range(1800)))
    engine.clock_went_back(back_ms)
    count = 1800 + back_ms // 1000 + 1
    again = engine.ingest(samples(range(1800, count), back_ms))
    raised = samples(range(count, count + 10), back_ms)
    for sample in raised:
        assert sample.import_mwh is not None
        sample.import_mwh += 50 * KWH
    jumped = engine.ingest(raised)
    assert kinds(before, again) == {"late"}
    assert kinds(jumped) == {"counter_jump"}
    assert energy(engine, before, again, jumped) == STEP * (count - 1 + 9)


def test_more_energy_than_the_overlap_allows_is_a_jump() -> None:
    engine = Engine([CONFIG], 60_000)
    before = engine.ingest(samples(range(1800)))
    engine.clock_went_back(10_000)
    raised = [Sample("m", T0 + 1_800_000 + 1000 * i, 0, 20 * KWH + STEP * (1800 + i)) for i in range(10)]
    after = engine.ingest(raised)
    assert kinds(before, after) == {"counter_jump"}
    assert energy(engine, before, after) == STEP * (1799 + 9)


def test_a_reading_held_back_when_the_clock_goes_back_is_decided_after_the_overlap() -> None:
    engine = Engine([CONFIG], 60_000)
    before = engine.ingest([*samples(range(1800)), Sample("m", T0 + 1_800_000, 0, 0)])
    engine.clock_went_back(HOUR)
    after = engine.ingest(samples(range(1801, 7200), HOUR))
    assert kinds(before, after) == {"late", "counter_glitch"}
    assert energy(engine, before, after) == STEP * 7199


def test_a_register_that_moves_once_a_minute_is_no_jump_after_a_short_overlap() -> None:
    engine = Engine([CONFIG], 60_000)
    minute = 250_000_000 // 60  # 250 kW, shown all at once
    polls = [(i, minute * (i // 60)) for i in range(600)]
    before = engine.ingest(Sample("m", T0 + 1000 * i, 0, raw) for i, raw in polls[:310])
    engine.clock_went_back(30_000)
    after = engine.ingest(Sample("m", T0 + 1000 * i - 30_000, 0, raw) for i, raw in polls[310:])
    assert kinds(before, after) == {"late"}
    assert energy(engine, before, after) == polls[-1][1]


def test_a_quarter_hour_with_an_overlap_has_no_demand_and_the_next_one_has() -> None:
    engine = Engine([CONFIG], 900_000)
    before = engine.ingest(samples(range(1000)))
    assert engine.running("m", T0).demand_mw is not None
    engine.clock_went_back(HOUR)
    polls = range(1000, 1000 + 3600 + 1900)
    after = engine.ingest(samples(polls[:3700], HOUR))
    assert engine.running("m", T0).demand_mw is None
    last = engine.ingest(samples(polls[3700:], HOUR))
    demands = [row.demand_mw for some in (before, after, last) for row in some.intervals]
    assert demands == [STEP * 3600, None, STEP * 3600]
    assert engine.running("m", T0).demand_mw == STEP * 3600


def test_a_net_register_brings_the_export_of_the_overlap() -> None:
    engine = Engine([DeviceConfig("m", 1000, 250_000_000, mode="net")], 60_000)
    engine.ingest(Sample("m", T0 + 1000 * i, 0, -STEP * i) for i in range(100))
    engine.clock_went_back(HOUR)
    closed = engine.ingest(Sample("m", T0 + 1000 * i - HOUR, 0, -STEP * i) for i in range(100, 3800))
    block = engine.open_block("m")
    assert block is not None
    first = STEP * 60  # the minute that closed before the clock was set
    assert first + sum(row.export_mwh or 0 for row in [*closed.intervals, block]) == STEP * 3799
    assert {row.import_mwh for row in closed.intervals} == {0}


def test_integrated_power_counts_the_time_of_an_overlap_once() -> None:
    engine = Engine([DeviceConfig("m", 1000, 250_000_000, mode="integrate")], 60_000)
    before = engine.ingest(samples(range(1800), mode="integrate"))
    engine.clock_went_back(600_000)
    after = engine.ingest(samples(range(1800, 3000), 600_000, mode="integrate"))
    assert energy(engine, before, after) == 100 * KWH * 2399 // 3600


def test_machine_code_and_pure_python_agree_over_an_overlap() -> None:
    engines = [Engine([CONFIG], 60_000, kernels=load(mode)) for mode in ("cached", "python")]
    results = []
    for engine in engines:
        before = engine.ingest(samples(range(200)))
        engine.clock_went_back(100_000)
        after = engine.ingest(samples(range(200, 500), 100_000))
        results.append((before, after, engine.running("m", T0), engine.snapshot()))
    assert results[0] == results[1]


def test_a_clock_cannot_go_back_by_a_negative_time() -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        Engine([CONFIG], 60_000).clock_went_back(-1)
