"""From answers to commits: what waits, what is late, what the disk refuses, and what a restart recalls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import DiskFull
from engine.reading import Quality
from gateway.collect import backlog
from gateway.collect.clockwatch import Step
from tests.gateway.collect.rig import START_MS, Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    box.close()


def _run(box: Box, seconds: int, kwh: float, step: float = 0.05) -> float:
    for _ in range(seconds):
        box.now_ms += 1000
        kwh += step
        assert box.answer(kwh)
    return kwh


async def test_readings_and_the_intervals_they_close_are_one_commit(box: Box) -> None:
    _run(box, 25, 100.0)
    box.pipeline.cut(box.now_ms)
    await box.pipeline.write()
    reader = box.reader()
    assert reader.last_seq("readings") == 25
    rows = reader.rows("intervals", 1, 9)
    assert [round(row["active_energy_import_wh"]) for row in rows] == [450, 500]
    commits = reader.query("select count(*) as n from commits where reading_first is not null")
    assert commits[0]["n"] == 1


async def test_a_bad_counter_is_answered_but_not_valid(box: Box) -> None:
    box.now_ms += 1000
    assert not box.answer(float("nan"))
    assert not box.answer(5.0, flags=int(Quality.INVALID_DEVICE_FAULT))
    assert box.answer(5.0)


async def test_a_late_reading_is_kept_flagged_and_moves_no_counter(box: Box) -> None:
    kwh = _run(box, 12, 100.0)
    box.pipeline.step()
    before = box.engine.running("press-1", START_MS)
    box.answer(99.0, tag_ms=START_MS + 2_000)
    box.pipeline.step()
    assert box.engine.running("press-1", START_MS) == before
    box.now_ms += 1000
    assert box.answer(kwh + 0.05)
    box.pipeline.cut(box.now_ms)
    await box.pipeline.write()
    rows = box.reader().rows("readings", 1, 100)
    assert [row["quality"] for row in rows if row["quality"]] == [["late_backfilled"]]
    assert [e["kind"] for e in box.reader().events() if e["kind"] == "late"] == ["late"]


async def test_a_restart_recalls_the_very_engine_that_was_running(tmp_path: Path) -> None:
    box = Box(tmp_path)
    kwh = _run(box, 17, 100.0)
    box.pipeline.cut(box.now_ms, snapshot=True)
    kwh = _run(box, 6, kwh)
    box.answer(3.0, tag_ms=START_MS + 1000)
    box.pipeline.cut(box.now_ms)
    _run(box, 7, kwh)
    box.pipeline.cut(box.now_ms)
    await box.pipeline.write()
    running = box.engine.snapshot()
    rows = box.reader().rows("intervals", 1, 100)
    box.close()

    again = Box(tmp_path, now_ms=box.now_ms + 4000)
    assert again.engine.snapshot() == running
    assert again.reader().rows("intervals", 1, 100) == rows
    await again.pipeline.write()
    assert [e["kind"] for e in again.reader().events()][-3:] == ["box_gap", "boot", "config_applied"]
    again.close()


async def test_a_full_disk_loses_nothing_while_memory_lasts(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    await box.pipeline.write()
    real, refusals = box.ledger.commit, [3]

    def commit(what: object) -> object:
        if refusals[0]:
            refusals[0] -= 1
            raise DiskFull("no space left")
        return real(what)  # type: ignore[arg-type]

    monkeypatch.setattr(box.ledger, "commit", commit)
    kwh = 100.0
    for _ in range(5):
        kwh = _run(box, 5, kwh)
        box.pipeline.cut(box.now_ms)
        await box.pipeline.write()
    reader = box.reader()
    assert reader.last_seq("readings") == 25
    box.pipeline.cut(box.now_ms)
    await box.pipeline.write()
    kinds = [e["kind"] for e in reader.events()]
    assert kinds.count("disk_full") == 1
    assert kinds.count("disk_ok") == 1
    assert box.pipeline.lost == 0


async def test_a_disk_that_stays_full_costs_the_oldest_readings_and_they_are_booked(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.pipeline.write()
    real, full = box.ledger.commit, [True]

    def commit(what: object) -> object:
        if full[0]:
            raise DiskFull("no space left")
        return real(what)  # type: ignore[arg-type]

    monkeypatch.setattr(box.ledger, "commit", commit)
    monkeypatch.setattr(box.pipeline, "_backlog", backlog.Backlog(keep_ms=20_000))
    kwh = 100.0
    for _ in range(5):
        for _ in range(10):
            box.account.polled("press-1", answered=True, valid=True)
        kwh = _run(box, 10, kwh)
        box.pipeline.cut(box.now_ms)
        await box.pipeline.write()
    full[0] = False
    await box.pipeline.write()
    counts = box.reader().counts(0, 1 << 60)["press-1"]
    assert box.pipeline.lost == 20
    assert box.reader().last_seq("readings") == 30
    assert (counts.due, counts.valid, dict(counts.missed)) == (50, 30, {"disk": 20})
    intervals = box.reader().rows("intervals", 1, 100)
    assert len(intervals) == 5, "what the lost readings closed is kept"


async def test_held_readings_survive_in_the_log_and_get_their_seq_with_the_true_time(tmp_path: Path) -> None:
    box = Box(tmp_path, synced=False)
    _run(box, 5, 100.0)
    box.pipeline.cut(box.now_ms)
    await box.pipeline.write()
    reader = box.reader()
    assert (reader.last_seq("readings"), len(reader.held())) == (0, 5)
    assert len(box.shown) == 5, "eyes see them at once"

    box.clock.offset_ns += 7_200_000 * 1_000_000
    box.hold.synced = True
    box.pipeline.stepped(Step("sync", box.clock.mono_ms(), box.now_ms, box.now_ms + 7_200_000))
    box.pipeline.release(box.hold.settle())
    box.pipeline.cut(box.clock.now_ms())
    await box.pipeline.write()
    rows = reader.rows("readings", 1, 10)
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(row["quality"] == [] for row in rows)
    first = reader.raw_readings(0, 1)[0][1]
    assert first.t_ms == START_MS + 1000 + 7_200_000
    assert reader.held() == []
    assert reader.query("select cause from clock order by num")[-1]["cause"] == "sync"
    box.close()


async def test_held_readings_of_a_boot_that_never_synced_come_with_the_next_one(tmp_path: Path) -> None:
    box = Box(tmp_path, synced=False)
    _run(box, 5, 100.0)
    box.pipeline.cut(box.now_ms)
    await box.pipeline.write()
    box.close()
    again = Box(tmp_path, now_ms=box.now_ms + 60_000)
    again.pipeline.release(again.past.held)
    again.pipeline.cut(again.now_ms)
    await again.pipeline.write()
    rows = again.reader().rows("readings", 1, 10)
    assert [row["quality"] for row in rows] == [["clock_unsynced"]] * 5
    assert again.reader().held() == []
    again.close()
