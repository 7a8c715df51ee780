"""Intervals: where they are cut, when they close, what they say of themselves."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from engine import kernels, steps
from engine.interval import Part
from engine.ledger import DeviceConfig, Engine, Mode, Sample, snapshot_interval_ms
from engine.reading import COUNTER_UNUSABLE, Quality

T0 = 1_763_625_600_000  # a quarter hour, UTC
CONFIG = DeviceConfig("m", 10_000, 250_000_000)


def test_a_step_over_a_border_is_cut_by_the_floor_of_its_share() -> None:
    engine = Engine([CONFIG], 10_000)
    closed = engine.ingest([Sample("m", T0 + 5_000, 0, 0), Sample("m", T0 + 14_999, 0, 10)])
    assert [(r.start_ms, r.seconds, r.import_mwh) for r in closed.intervals] == [(T0, 10, 5)]
    block = engine.open_block("m")
    assert block is not None
    assert (block.start_ms, block.seconds, block.import_mwh) == (T0 + 10_000, 10, 5)


def test_a_reading_exactly_on_the_border_closes_the_interval_with_its_own_register() -> None:
    closed = Engine([CONFIG], 10_000).ingest([Sample("m", T0, 0, 0), Sample("m", T0 + 10_000, 0, 77)])
    assert [(r.import_mwh, r.valid, r.due, r.flags) for r in closed.intervals] == [(77, 1, 1, 0)]


def test_nothing_is_known_before_the_first_counter() -> None:
    engine = Engine([CONFIG], 10_000)
    assert engine.ingest([Sample("m", T0, power_mw=5)]).intervals == []
    assert engine.open_block("m") is None
    assert engine.running("m", T0).import_mwh is None


def test_counters_that_come_at_different_times_close_the_interval_together() -> None:
    engine = Engine([CONFIG], 60_000)
    first = [Sample("m", T0, 0, 100), Sample("m", T0 + 50, 0, None, 200), Sample("m", T0 + 60_000, 0, 160)]
    assert engine.ingest(first).intervals == []
    (row,) = engine.ingest([Sample("m", T0 + 60_050, 0, None, 260)]).intervals
    assert (row.import_mwh, row.export_mwh, row.reactive_import_mvarh) == (60, 59, None)


def test_a_silent_secondary_counter_is_given_up_after_an_hour_and_begins_anew() -> None:
    engine = Engine([CONFIG], 900_000)
    closed = engine.ingest(
        Sample("m", T0 + 10_000 * i, 0, 100 * i, 50 * i if i < 100 else None) for i in range(600)
    )
    lost = [c for c in closed.continuity if c.kind == "counter_lost"]
    assert [(c.quantity, c.t_ms) for c in lost] == [("active_energy_export", T0 + 990_000)]
    assert [row.export_mwh for row in closed.intervals[:2]] == [4500, None]
    back = engine.ingest(Sample("m", T0 + 10_000 * i, 0, 100 * i, 70 * i) for i in range(600, 800))
    assert [c.kind for c in back.continuity] == []
    assert [row.export_mwh for row in back.intervals] == [30 * 70, 90 * 70]


def test_a_gap_closes_its_intervals_together_exactly_and_says_that_their_shape_is_estimated() -> None:
    engine = Engine([CONFIG], 60_000)
    closed = engine.ingest([
        Sample("m", T0, 0, 0), Sample("m", T0 + 10_000, 0, 10),
        Sample("m", T0 + 200_000, 0, 1000), Sample("m", T0 + 220_000, 0, 1020), Sample("m", T0 + 240_000, 0, 1040),
    ])  # fmt: skip
    assert [c.kind for c in closed.continuity] == ["gap"]
    assert closed.continuity[0].data == {"seconds": 190, "until_ms": T0 + 200_000}
    assert sum(r.import_mwh or 0 for r in closed.intervals) == 1040
    assert [r.flags for r in closed.intervals] == [int(Quality.EST_LINEAR)] * 4
    assert [(r.valid, r.due) for r in closed.intervals] == [(2, 6), (0, 6), (0, 6), (2, 6)]
    assert closed.intervals[3].parts[Quality.EST_LINEAR].import_mwh == 1000 - 10 - 990 * 170 // 190


def test_an_interval_inside_one_step_is_estimated_even_at_a_slow_poll() -> None:
    config = DeviceConfig("m", 60_000, 250_000_000)
    engine = Engine([config], 10_000)
    closed = engine.ingest([Sample("m", T0 + 1, 0, 0), Sample("m", T0 + 60_001, 0, 600)])
    assert [r.flags for r in closed.intervals] == [0, *[int(Quality.EST_LINEAR)] * 5]
    assert [(r.valid, r.due) for r in closed.intervals] == [(1, 1), *[(0, 0)] * 5]


def test_parts_say_how_many_readings_and_how_much_energy_carried_a_flag() -> None:
    unsynced = int(Quality.CLOCK_UNSYNCED)
    engine = Engine([CONFIG], 60_000)
    registers = [(0, 0), (10_000, unsynced), (20_000, unsynced), (30_000, 0), (60_000, 0)]
    (row,) = engine.ingest(Sample("m", T0 + t, flags, t // 10) for t, flags in registers).intervals
    assert row.flags == unsynced | Quality.EST_LINEAR
    assert row.parts == {unsynced: Part(2, 2000), int(Quality.EST_LINEAR): Part(0, 3000)}


def test_demand_stands_only_in_the_row_that_ends_a_whole_quarter_hour() -> None:
    engine = Engine([CONFIG], 300_000)
    closed = engine.ingest(Sample("m", T0 + 100_000 + 10_000 * i, 0, 1000 * i) for i in range(180))
    demands = [row.demand_mw for row in closed.intervals]
    assert demands == [None, None, None, None, None, 360_000]  # 1000 mWh in 10 s
    assert closed.intervals[-1].start_ms == T0 + 1_500_000


def test_demand_is_absent_where_energy_of_the_block_is_unknown() -> None:
    engine = Engine([CONFIG], 900_000)
    level = 5 * 10**9
    registers = [level, level, *[0] * 100]
    (row,) = engine.ingest(Sample("m", T0 + 10_000 * i, 0, raw) for i, raw in enumerate(registers)).intervals
    assert row.flags & Quality.COUNTER_ADJUSTED
    assert row.demand_mw is None


def test_power_becomes_energy_by_trapezoids_with_nothing_lost_to_rounding() -> None:
    config = DeviceConfig("m", 1000, 250_000_000, mode="integrate")
    engine = Engine([config], 60_000)
    closed = engine.ingest(Sample("m", T0 + 1000 * i, 0, power_mw=1001, reactive_mvar=-500) for i in range(3601))
    assert sum(r.import_mwh or 0 for r in closed.intervals) == 1001
    assert sum(r.reactive_export_mvarh or 0 for r in closed.intervals) == 500
    assert {r.flags for r in closed.intervals} == {int(Quality.DERIVED)}
    assert {r.export_mwh for r in closed.intervals} == {0}


def test_power_over_a_silence_is_not_invented() -> None:
    config = DeviceConfig("m", 1000, 250_000_000, mode="integrate")
    engine = Engine([config], 60_000)
    closed = engine.ingest(Sample("m", T0 + t, power_mw=3_600_000) for t in (0, 1000, 2000, 90_000, 91_000, 120_000))
    assert [r.import_mwh for r in closed.intervals] == [2000, 1000]
    assert all(r.flags & Quality.MISSING_COMM for r in closed.intervals)
    assert all(r.demand_mw is None for r in closed.intervals)


def test_running_figures_count_from_midnight_and_show_the_demand_so_far() -> None:
    engine = Engine([CONFIG], 900_000)
    engine.ingest(Sample("m", T0 + 10_000 * i, 0, 1000 * i, power_mw=360_000) for i in range(200))
    since = engine.running("m", T0 + 900_000)
    assert (since.import_mwh, since.export_mwh, since.demand_mw, since.power_mw) == (109_000, None, 360_000, 360_000)
    assert engine.running("m", T0).import_mwh == 199_000
    assert engine.running("m", T0 + 1_800_000).import_mwh == 19_000
    assert engine.running("m", T0 - 86_400_000).import_mwh == 199_000
    with pytest.raises(ValueError, match="quarter hour"):
        engine.running("m", T0 + 1)


def test_meters_come_and_go_and_change_the_interval_over_a_restore_without_losing_energy() -> None:
    other = DeviceConfig("n", 10_000, 250_000_000)
    engine = Engine([other, CONFIG], 900_000)
    before = engine.ingest(
        Sample(meter, T0 + 10_000 * i, 0, 1000 * i) for i in range(150) for meter in ("m", "n")
    ).intervals
    again = Engine.restore(engine.snapshot(), [CONFIG, DeviceConfig("new", 1000)], 60_000)
    assert again.open_block("new") is None
    after = again.ingest(Sample("m", T0 + 10_000 * i, 0, 1000 * i) for i in range(150, 300)).intervals
    block = again.open_block("m")
    assert block is not None
    assert sum(r.import_mwh or 0 for r in [*before, *after, block] if r.meter == "m") == 299_000
    assert after[0].start_ms == T0 + 900_000
    assert after[0].flags & Quality.EST_LINEAR


@pytest.mark.parametrize(("mode", "line"), [("counters", "b"), ("net", "a"), ("counters", "")])
def test_a_meter_with_another_line_or_mode_begins_at_a_new_baseline(mode: Mode, line: str) -> None:
    first, other = replace(CONFIG, line="a"), DeviceConfig("n", 10_000, 250_000_000, line="n")
    engine = Engine([first, other], 60_000)
    engine.ingest(Sample(meter, T0 + 10_000 * i, 0, 1000 * i) for i in range(5) for meter in ("m", "n"))
    assert Engine.restore(engine.snapshot(), [first, other], 60_000).restarted == ()
    again = Engine.restore(engine.snapshot(), [other, replace(CONFIG, mode=mode, line=line)], 60_000)
    assert again.restarted == ("m",)
    assert again.open_block("m") is None
    replaced = {"m": 500, "n": 0}
    closed = again.ingest(
        Sample(meter, T0 + 10_000 * i, 0, 1000 * i + more) for i in (5, 6) for meter, more in replaced.items()
    )
    assert closed.continuity == []
    assert [(row.meter, row.start_ms, row.import_mwh) for row in closed.intervals] == [
        ("m", T0, 1000), ("n", T0, 6000)
    ]  # fmt: skip


def test_a_new_engine_has_restarted_nothing_and_neither_new_nor_missing_meters_count_as_restarted() -> None:
    engine = Engine([CONFIG], 60_000)
    assert engine.restarted == ()
    assert Engine.restore(engine.snapshot(), [DeviceConfig("new", 1000, line="x")], 60_000).restarted == ()


@pytest.mark.parametrize("length", [10_000, 900_000])
def test_a_snapshot_tells_the_interval_it_was_taken_under(length: int) -> None:
    engine = Engine([CONFIG], length)
    engine.ingest([Sample("m", T0, 0, 5)])
    assert snapshot_interval_ms(engine.snapshot()) == length


@pytest.mark.parametrize(
    "data", [b"", b"{}\n", b'{"version":2}\nx', b"\xff\n\xff", b'{"version":1}\n' + zlib.compress(b"")]
)
def test_a_damaged_or_foreign_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        Engine.restore(data, [CONFIG], 900_000)
    with pytest.raises(ValueError, match="snapshot"):
        snapshot_interval_ms(data)


def test_a_truncated_snapshot_is_refused_at_every_length() -> None:
    engine = Engine([CONFIG], 900_000)
    engine.ingest([Sample("m", T0, 0, 5)])
    data = engine.snapshot()
    for length in range(len(data)):
        with pytest.raises(ValueError, match="snapshot"):
            Engine.restore(data[:length], [CONFIG], 900_000)
        with pytest.raises(ValueError, match="snapshot"):
            snapshot_interval_ms(data[:length])


def test_a_snapshot_with_any_one_byte_of_its_header_changed_is_refused() -> None:
    engine = Engine([CONFIG], 900_000)
    engine.ingest([Sample("m", T0, 0, 5)])
    data = engine.snapshot()
    for place in range(data.index(b"\n") + 1):
        changed = bytes([*data[:place], data[place] ^ 1, *data[place + 1 :]])
        with pytest.raises(ValueError, match="snapshot"):
            Engine.restore(changed, [CONFIG], 900_000)
        with pytest.raises(ValueError, match="snapshot"):
            snapshot_interval_ms(changed)


def test_a_bad_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="15 minutes"):
        Engine([CONFIG], 7000)
    with pytest.raises(ValueError, match="one meter id"):
        Engine([CONFIG, CONFIG], 900_000)
    with pytest.raises(ValueError, match="poll interval"):
        Engine([DeviceConfig("m", 0)], 900_000)
    with pytest.raises(KeyError):
        Engine([CONFIG], 900_000).ingest([Sample("stranger", T0)])


def test_the_kernels_know_the_same_flags_as_the_vocabulary() -> None:
    assert int(COUNTER_UNUSABLE) == kernels.UNUSABLE
    assert (steps.MISSING_COMM, steps.EST_LINEAR, steps.ADJUSTED, steps.DERIVED, steps.ROLLED) == (
        Quality.MISSING_COMM, Quality.EST_LINEAR, Quality.COUNTER_ADJUSTED, Quality.DERIVED, Quality.COUNTER_ROLLOVER,
    )  # fmt: skip


def test_a_counter_first_seen_on_the_border_is_unknown_before_it() -> None:
    engine = Engine([CONFIG], 10_000)
    (row,) = engine.ingest([Sample("m", T0, 0, 0), Sample("m", T0 + 10_000, 0, 5, 7)]).intervals
    assert (row.import_mwh, row.export_mwh) == (5, None)


def test_two_readings_of_one_poll_tick_are_one_valid_reading() -> None:
    engine = Engine([CONFIG], 60_000)
    (row,) = engine.ingest(Sample("m", T0 + t, 0, t) for t in (0, 3000, 10_000, 19_999, 60_000)).intervals
    assert (row.valid, row.due) == (2, 6)


def test_an_older_sample_does_not_bring_back_its_power() -> None:
    engine = Engine([CONFIG], 60_000)
    engine.ingest([Sample("m", T0 + 20_000, 0, 5, power_mw=500), Sample("m", T0 + 15_000, 0, None, 7, power_mw=900)])
    assert engine.running("m", T0).power_mw == 500


def test_hundreds_of_intervals_held_open_close_in_order_when_the_silent_counter_speaks() -> None:
    engine = Engine([CONFIG], 10_000)
    held = engine.ingest(Sample("m", T0 + 10_000 * i, 0, 1000 * i, 0 if i == 0 else None) for i in range(350))
    assert (held.intervals, held.continuity) == ([], [])
    rows = engine.ingest([Sample("m", T0 + 3_500_000, 0, 350_000, 3500)]).intervals
    assert [(r.start_ms, r.import_mwh, r.export_mwh) for r in rows] == [
        (T0 + 10_000 * i, 1000, 10) for i in range(350)
    ]
