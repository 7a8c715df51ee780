"""The clock jumps, the configuration changes, the box comes back in the past: no watt-hour is lost or invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.collect.rig import SITE, START_MS, Box

HOUR_MS = 3_600_000
STEP = 1 / 64  # kWh a second: 56.25 kW, exact in a float32


def _meter(box: Box, seconds: int, kwh: float, step: float = STEP) -> float:
    """A poll a second."""
    for _ in range(seconds):
        box.now_ms += 1000
        kwh += step
        box.answer(kwh)
    box.pipeline.step()
    return kwh


def _counted_mwh(box: Box) -> int:
    """Everything that became energy: rows of the ledger, pending rows, open block."""
    rows = box.reader().rows("intervals", 1, 1000)
    pending = box.pipeline._pending.intervals
    block = box.engine_now.open_block("press-1")
    assert block is not None
    stored = sum(round(row["active_energy_import_wh"] * 1000) for row in rows)
    return stored + sum(row.import_mwh or 0 for row in pending) + (block.import_mwh or 0)


async def _commit(box: Box) -> None:
    box.pipeline.cut(box.clock.now_ms())
    await box.pipeline.write()


@pytest.mark.parametrize("back_s", [3, 10, 120])
async def test_a_clock_that_is_set_back_costs_no_energy(tmp_path: Path, back_s: int) -> None:
    box = Box(tmp_path)
    kwh = _meter(box, 25, 128.0)
    await _commit(box)
    box.step_clock(-1000 * back_s)
    kwh = _meter(box, back_s + 30, kwh)
    await _commit(box)
    assert _counted_mwh(box) == round((kwh - 128.0 - STEP) * 1_000_000)
    starts = [row["start"] for row in box.reader().rows("intervals", 1, 1000)]
    assert len(starts) == len(set(starts)), "no interval twice"
    assert "counter_jump" not in {e["kind"] for e in box.reader().events()}
    box.close()


async def test_a_clock_that_is_set_forward_costs_no_energy(tmp_path: Path) -> None:
    box = Box(tmp_path)
    kwh = _meter(box, 25, 128.0)
    box.step_clock(HOUR_MS)
    kwh = _meter(box, 30, kwh)
    await _commit(box)
    assert _counted_mwh(box) == round((kwh - 128.0 - STEP) * 1_000_000)
    box.close()


async def test_a_box_that_starts_in_the_past_of_its_own_log_costs_no_energy(tmp_path: Path) -> None:
    box = Box(tmp_path)
    kwh = _meter(box, 45, 128.0)
    box.pipeline.cut(box.now_ms, snapshot=True)
    await box.pipeline.write()
    box.close()
    again = Box(tmp_path, now_ms=START_MS + 20_000)
    kwh = _meter(again, 60, kwh)
    await _commit(again)
    assert _counted_mwh(again) == round((kwh - 128.0 - STEP) * 1_000_000)
    again.close()


async def test_a_clock_that_was_years_ahead_begins_to_count_anew_and_says_so(tmp_path: Path) -> None:
    box = Box(tmp_path)
    kwh = _meter(box, 25, 128.0)
    box.step_clock(3650 * 24 * HOUR_MS)
    kwh = _meter(box, 5, kwh)
    box.step_clock(-3650 * 24 * HOUR_MS)
    kwh = _meter(box, 45, kwh)
    await _commit(box)
    rows = [row for row in box.reader().rows("intervals", 1, 1000) if row["start"] < "2027"]
    starts = [row["start"] for row in rows]
    assert len(starts) == len(set(starts)), "no interval twice"
    assert round(rows[-1]["active_energy_import_wh"]) == 156, "counting goes on"
    assert "recount" in {e["kind"] for e in box.reader().events()}
    box.close()


async def test_registers_that_mean_something_else_are_a_new_baseline_not_energy(tmp_path: Path) -> None:
    site = SITE.replace('profile = "eastron-sdm630"', 'profile = "chint-dtsu666"\nct = "200/5"')
    box = Box(tmp_path, site=site)
    for n in range(15):
        box.now_ms += 1000
        box.answer(70.0 + 0.0078125 * n)
    box.pipeline.cut(box.now_ms, snapshot=True)
    await box.pipeline.write()
    box.close()
    again = Box(tmp_path, now_ms=box.now_ms + HOUR_MS, site=site.replace("200/5", "400/5"))
    for n in range(25):
        again.now_ms += 1000
        again.answer(70.125 + 0.0078125 * n)
    await _commit(again)
    after = [row for row in again.reader().rows("intervals", 1, 1000) if row["start"] > "2026-09-21T13:30"]
    assert sum(row["active_energy_import_wh"] for row in after) < 25 * 0.0078125 * 80 * 1000 + 1
    assert "recount" in {e["kind"] for e in again.reader().events()}
    again.close()


async def test_a_changed_energy_interval_after_a_crash_sends_no_energy_twice(tmp_path: Path) -> None:
    box = Box(tmp_path)
    kwh = _meter(box, 45, 128.0)
    await _commit(box)
    kwh = _meter(box, 30, kwh)
    await _commit(box)
    box.close()  # without a last snapshot: a crash
    again = Box(tmp_path, now_ms=box.now_ms + 1000, site=SITE.replace('"10s"', '"30s"'))
    kwh = _meter(again, 90, kwh)
    await _commit(again)
    assert _counted_mwh(again) == round((kwh - 128.0 - STEP) * 1_000_000)
    again.close()


async def test_a_damaged_snapshot_costs_a_replay_not_the_start(tmp_path: Path) -> None:
    box = Box(tmp_path)
    kwh = _meter(box, 45, 128.0)
    await _commit(box)
    box.ledger._conn.execute("update snapshots set data = x'00ff'")
    box.close()
    again = Box(tmp_path, now_ms=box.now_ms + 1000)
    kwh = _meter(again, 20, kwh)
    await _commit(again)
    assert _counted_mwh(again) == round((kwh - 128.0 - STEP) * 1_000_000)
    again.close()
