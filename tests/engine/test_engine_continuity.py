"""The counter stories that broke others, with their true kWh."""

from __future__ import annotations

import pytest

from engine.ledger import Closed, DeviceConfig, Engine, Sample
from engine.reading import Quality

T0 = 1_763_625_600_000  # a quarter hour, UTC
KWH = 1_000_000  # mWh
CONFIG = DeviceConfig("m", 10_000, 250_000_000, resolution_mwh=(100,) * 4)  # 250 kW: at most 0.83 kWh in 10 s


def run(
    registers: list[int | None], config: DeviceConfig = CONFIG, step_ms: int = 10_000, flags: int = 0
) -> tuple[Closed, int]:
    """Poll these import registers; what came out, and the energy of all rows and the open block [mWh]."""
    engine = Engine([config], 60_000)
    closed = engine.ingest(Sample("m", T0 + i * step_ms, flags, raw) for i, raw in enumerate(registers))
    block = engine.open_block("m")
    assert block is not None
    return closed, sum(row.import_mwh or 0 for row in [*closed.intervals, block])


def kinds(closed: Closed) -> list[str]:
    return [c.kind for c in closed.continuity]


def test_a_transient_zero_is_a_glitch_and_costs_nothing() -> None:
    level = 13423_700_000
    closed, energy = run([level, 0, level, level + 100_000])
    assert kinds(closed) == ["counter_glitch"]
    (found,) = closed.continuity
    assert (found.quantity, found.before, found.after) == ("active_energy_import", level, 0)
    assert (found.t_ms, found.data) == (T0 + 10_000, {"energy_mwh": 0, "until_ms": T0 + 20_000})
    assert energy == 100_000


def test_a_doubled_glitch_is_one_glitch() -> None:
    level = 13423_700_000
    closed, energy = run([level, 0, 0, level + 5, level + 10])
    assert (kinds(closed), energy) == (["counter_glitch"], 10)


def test_a_spike_up_is_a_glitch_and_never_energy() -> None:
    closed, energy = run([5 * KWH, 53_705 * KWH, 5 * KWH + 300, 5 * KWH + 700])
    assert (kinds(closed), energy) == (["counter_glitch"], 700)


def test_torn_words_up_and_down_are_glitches() -> None:
    low = 65_535 * 100
    closed, energy = run([low, low + 100 + 65_536 * 100 * 20, low + 300, low + 300 - 65_536 * 100, low + 500])
    assert (kinds(closed), energy) == (["counter_glitch"] * 2, 500)


def test_jitter_of_two_digits_is_silent_and_not_counted_twice() -> None:
    closed, energy = run([10_000, 9_900, 9_800, 10_000, 10_100])
    assert (kinds(closed), energy) == ([], 100)


@pytest.mark.parametrize(
    ("modulus", "known"),
    [(2**32 * 100, False), (2**16 * 100, False), (10**8 * 100, False), (999_999_900, True)],
)
def test_a_roll_over_keeps_every_milliwatt_hour(modulus: int, known: bool) -> None:
    config = DeviceConfig("m", 10_000, 250_000_000, "counters", (modulus if known else 0,) * 4, (100,) * 4)
    true = [modulus - 250_000 + 100_000 * i for i in range(9)]
    closed, energy = run([raw % modulus for raw in true], config)
    assert (kinds(closed), energy) == (["counter_rollover"], 800_000)
    (found,) = closed.continuity
    assert (found.before, found.after, found.data["energy_mwh"]) == (modulus - 50_000, 50_000, 100_000)
    assert any(row.flags & Quality.COUNTER_ROLLOVER for row in closed.intervals)


def test_a_roll_over_during_an_outage_of_a_day_is_found_by_the_known_modulus() -> None:
    modulus = 100_000 * KWH
    config = DeviceConfig("m", 10_000, 250_000_000, "counters", (modulus,) * 4, (100,) * 4)
    engine = Engine([config], 900_000)
    before = modulus - 1000 * KWH
    day = 86_400_000
    times = [T0, *(T0 + day + 10_000 * i for i in range(4))]
    closed = engine.ingest(
        Sample("m", t, import_mwh=raw) for t, raw in zip(times, [before, 500 * KWH, *[500 * KWH] * 3], strict=True)
    )
    block = engine.open_block("m")
    assert block is not None
    assert sum(r.import_mwh or 0 for r in [*closed.intervals, block]) == 1500 * KWH
    assert kinds(closed) == ["gap", "counter_rollover"]


def test_a_new_meter_after_half_a_day_is_no_roll_over_at_a_guessed_modulus() -> None:
    engine = Engine([CONFIG], 900_000)
    times = [T0, *(T0 + 12 * 3_600_000 + 10_000 * i for i in range(4))]
    registers = [98_000 * KWH, *[KWH // 2] * 4]
    closed = engine.ingest(Sample("m", t, import_mwh=raw) for t, raw in zip(times, registers, strict=True))
    block = engine.open_block("m")
    assert block is not None
    assert sum(r.import_mwh or 0 for r in [*closed.intervals, block]) == 0
    assert kinds(closed) == ["gap", "counter_reset"]


@pytest.mark.parametrize(("poll_ms", "longest_ms"), [(1000, 60_000), (10_000, 100_000)])
def test_a_modulus_is_guessed_over_ten_polls_or_a_minute_and_not_longer(poll_ms: int, longest_ms: int) -> None:
    config = DeviceConfig("m", poll_ms, 250_000_000, resolution_mwh=(100,) * 4)
    found = []
    for pause in (longest_ms, longest_ms + 1):
        engine = Engine([config], 900_000)
        polls = [(0, 10**10 - 50_000), *((pause + poll_ms * i, 50_000) for i in range(4))]
        closed = engine.ingest(Sample("m", T0 + t, import_mwh=raw) for t, raw in polls)
        found.append((kinds(closed)[-1], closed.continuity[-1].data["energy_mwh"]))
    assert found == [("counter_rollover", 100_000), ("counter_reset", 0)]


def test_a_reset_counts_nothing_across_and_goes_on_from_the_new_register() -> None:
    closed, energy = run([5000 * KWH, 5000 * KWH + 100, 0, 100, 300, 600, 700])
    assert (kinds(closed), energy) == (["counter_reset"], 100 + 700)
    (found,) = closed.continuity
    assert (found.before, found.after, found.data["energy_mwh"]) == (5000 * KWH + 100, 0, 0)


def test_a_meter_swapped_twice_in_a_day_counts_both_new_meters_from_their_first_reading() -> None:
    first, second, third = 5000 * KWH, 12 * KWH, 900 * KWH
    registers = [first, first + 100, *(second + 100 * i for i in range(6)), *(third + 100 * i for i in range(6))]
    closed, energy = run(registers)
    assert kinds(closed) == ["counter_reset", "counter_jump"]
    assert energy == 100 + 500 + 500


def test_two_readings_that_agree_are_not_enough_to_believe_a_reset() -> None:
    engine = Engine([CONFIG], 60_000)
    closed = engine.ingest(Sample("m", T0 + i * 10_000, 0, raw) for i, raw in enumerate([5000 * KWH, 0, 0, 0]))
    assert closed.continuity == []
    assert [c.kind for c in engine.ingest([Sample("m", T0 + 40_000, 0, 0)]).continuity] == ["counter_reset"]


def test_an_interval_that_a_pending_step_touches_waits_for_the_decision() -> None:
    engine = Engine([CONFIG], 60_000)
    held = [Sample("m", T0 + 50_000, 0, 5000 * KWH), Sample("m", T0 + 59_000, 0, 0), Sample("m", T0 + 61_000, 0, 0)]
    assert engine.ingest(held).intervals == []
    assert len(engine.ingest([Sample("m", T0 + 71_000, 0, 5000 * KWH + 100)]).intervals) == 1


def test_a_two_megawatt_feeder_without_rated_power_loses_nothing() -> None:
    config = DeviceConfig("m", 10_000)
    true = [2_000_000_000 * 10 * i // 3600 for i in range(200)]
    closed, energy = run(list(true), config)
    assert (kinds(closed), energy) == ([], true[-1])


def test_a_larger_feeder_without_rated_power_is_believed_when_it_shows_its_power() -> None:
    engine = Engine([DeviceConfig("m", 10_000)], 60_000)
    step = 40_000_000_000 * 10 // 3600  # 40 MW
    closed = engine.ingest(
        Sample("m", T0 + i * 10_000, 0, step * i, power_mw=40_000_000_000) for i in range(20)
    )
    assert closed.continuity == []


def test_a_register_that_moves_once_a_minute_is_not_a_jump() -> None:
    per_minute = 250_000_000 // 60  # 250 kW, shown all at once
    registers = [per_minute * (i // 60) for i in range(300)]
    closed, energy = run(list(registers), step_ms=1000)
    assert (kinds(closed), energy) == ([], registers[-1])


def test_a_counter_that_never_settles_is_given_up_without_energy_and_its_intervals_close() -> None:
    engine = Engine([CONFIG], 60_000)
    wild = [(i * 7919 % 101) * 1000 * KWH + 10**12 for i in range(800)]
    closed = engine.ingest(Sample("m", T0 + i * 10_000, 0, raw) for i, raw in enumerate([KWH, *wild]))
    assert closed.intervals
    assert sum(row.import_mwh or 0 for row in closed.intervals) == 0


@pytest.mark.parametrize("flag", [f for f in Quality if 0b110111 & f])
def test_a_reading_that_the_source_marks_unusable_never_touches_a_counter(flag: Quality) -> None:
    engine = Engine([CONFIG], 60_000)
    engine.ingest([Sample("m", T0, 0, KWH), Sample("m", T0 + 10_000, int(flag), 2 * KWH)])
    block = engine.open_block("m")
    assert block is not None
    assert (block.import_mwh, block.valid, block.flags) == (0, 1, int(flag))


def test_late_readings_are_reported_once_and_not_counted_and_repetitions_are_silent() -> None:
    engine = Engine([CONFIG], 60_000)
    closed = engine.ingest([
        Sample("m", T0 + 20_000, 0, KWH), Sample("m", T0 + 20_000, 0, KWH),
        Sample("m", T0 + 10_000, 0, KWH - 50), Sample("m", T0 + 15_000, 0, KWH - 20),
    ])  # fmt: skip
    assert [(c.kind, c.t_ms, c.data) for c in closed.continuity] == [("late", T0 + 10_000, {"readings": 2})]
    block = engine.open_block("m")
    assert block is not None
    assert (block.import_mwh, block.valid) == (0, 1)


def test_a_clock_that_jumps_by_decades_begins_anew_instead_of_closing_millions_of_intervals() -> None:
    engine = Engine([CONFIG], 60_000)
    closed = engine.ingest([
        Sample("m", 0, 0, KWH), Sample("m", 10_000, 0, KWH + 100),
        Sample("m", T0, 0, KWH + 500), Sample("m", T0 + 10_000, 0, KWH + 700),
    ])  # fmt: skip
    assert [(r.start_ms, r.import_mwh) for r in closed.intervals] == [(0, 100)]
    assert closed.intervals[0].flags & Quality.COUNTER_ADJUSTED
    block = engine.open_block("m")
    assert block is not None
    assert (block.start_ms, block.import_mwh) == (T0, 200)


def test_net_registers_go_both_ways_and_a_glitch_of_theirs_is_no_energy() -> None:
    config = DeviceConfig("m", 10_000, 250_000_000, mode="net", resolution_mwh=(100,) * 4)
    engine = Engine([config], 60_000)
    engine.ingest(Sample("m", T0 + i * 10_000, 0, raw) for i, raw in enumerate([0, 500, -300, 9 * 10**9, -200]))
    block = engine.open_block("m")
    assert block is not None
    assert (block.import_mwh, block.export_mwh) == (600, 800)
    assert block.flags & Quality.DERIVED


def test_jitter_is_never_negative_energy_while_it_lasts() -> None:
    closed, energy = run([10_000, 10_500, 10_300, 10_300])
    assert (kinds(closed), energy) == ([], 500)


def test_a_jump_that_stays_up_is_not_counted_even_when_time_would_allow_it_later() -> None:
    up = 200 + 2 * KWH  # beyond 0.83 kWh in 10 s, within the 2.5 kWh of 30 s
    closed, energy = run([0, 100, 200, up, up + 100, up + 200, up + 300])
    assert (kinds(closed), energy) == (["counter_jump"], 200 + 300)
