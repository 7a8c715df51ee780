"""The writer: one transaction, contiguous numbers, one process, one plant."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.errors import Corrupt, StoreError
from engine.interval import IntervalRow
from engine.reading import Reading
from gateway.store.commit import Boot, ClockRow, Commit, Committed, InForce
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader
from gateway.store.rows import Counts


def test_seq_is_contiguous_per_stream_from_1(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    given = [ledger.commit(sample.commit(n)) for n in range(3)]
    assert given[0] == Committed((1, 5), (1, 2), (1, 1))
    assert given[2] == Committed((11, 15), (5, 6), (3, 3))
    reader = LedgerReader(tmp_path)
    for stream, count in sample.PER_COMMIT.items():
        rows = reader.rows(stream, 1, 100)
        assert [row["seq"] for row in rows] == list(range(1, 3 * count + 1))
        assert ledger.next_seq(stream) == 3 * count + 1


def test_numbers_go_on_after_a_restart(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    ledger.commit(sample.commit(0))
    ledger.commit(Commit(sample.T0, 4, boot=Boot(4, sample.T0, "0.1.0")))
    ledger.close()
    again = sample.open_ledger(tmp_path)
    try:
        assert again.next_boot_id == 5
        assert again.commit(sample.commit(1)) == Committed((6, 10), (3, 4), (2, 2))
    finally:
        again.close()


def test_readings_get_their_seq_in_order_of_time_then_meter(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    def reading(meter: str, t_ms: int) -> Reading:
        return Reading(meter, t_ms, 1, t_ms, sample.SMALL.digest, (1,))

    unordered = [reading("b", 20), reading("c", 10), reading("a", 20)]
    ledger.commit(Commit(30, 1, readings=unordered, layouts=[sample.SMALL]))
    kept = LedgerReader(tmp_path).raw_readings(0)
    assert [(seq, r.meter, r.t_ms) for seq, r in kept] == [(1, "c", 10), (2, "a", 20), (3, "b", 20)]


def test_everything_of_a_commit_is_found_again(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    ledger.commit(
        replace(
            sample.commit(0),
            in_force=[InForce("profile", "p", "one"), InForce("site", "plant-7", "toml")],
            clock=[ClockRow(1, 5, sample.T0 - 5, sample.T0, "first_sync")],
            boot=Boot(1, sample.T0, "0.1.0"),
        )
    )
    ledger.commit(replace(sample.commit(1), in_force=[InForce("profile", "p", "one")]))
    ledger.commit(replace(sample.commit(2), in_force=[InForce("profile", "p", "two")]))
    reader = LedgerReader(tmp_path)
    assert [r for _, r in reader.raw_readings(0)] == [r for n in range(3) for r in sample.readings(n)]
    assert reader.layouts() == {x.digest: x for x in (sample.LAYOUT, sample.SMALL)}
    assert reader.in_force("profile") == {"p": "two"}
    assert [r["from_ms"] for r in reader.query("select from_ms from in_force where id = 'p'")] == [
        sample.commit(0).t_ms, sample.commit(2).t_ms,
    ]  # fmt: skip
    assert reader.query("select * from boots") == [{"boot_id": 1, "started_ms": sample.T0, "version": "0.1.0"}]
    assert reader.query("select boot_id, mono_ms, offset_ms, t_ms, cause from clock") == [
        {"boot_id": 1, "mono_ms": 5, "offset_ms": sample.T0 - 5, "t_ms": sample.T0, "cause": "first_sync"}
    ]
    snapshot = reader.snapshot()
    assert snapshot is not None
    assert (snapshot.through_seq, snapshot.data) == (15, b"state 2")
    assert reader.last_commit() == (sample.commit(2).t_ms, 1)
    assert (reader.epoch, reader.meta["site"], reader.meta["gateway"]) == (sample.T0, "plant-7", "gw-1")


BAD: dict[str, tuple[Callable[[ModuleType], dict[str, Any]], str]] = {
    "reading of an unknown layout": (
        lambda s: {"readings": [Reading("fan", 1, 1, 1, "feedfeed", (1,))]}, "layout that the ledger never saw"
    ),
    "interval without attribution": (
        lambda s: {"intervals": [IntervalRow("fan", 0, 900, 1, 1, 1, 1, 1, 1, 1, 0)]}, "without its attribution"
    ),
    "unknown miss cause": (lambda s: {"counts": {"fan": Counts(1, missed={"weather": 1})}}, "unknown cause"),
    "a register wider than SQLite's": (
        lambda s: {"intervals": [replace(s.intervals(0)[0], import_mwh=1 << 64)]}, "too large"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_commit_that_can_never_be_written_leaves_nothing_behind(
    what: str, ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.commit(sample.commit(0))
    fields, message = BAD[what]
    with pytest.raises((ValueError, OverflowError), match=message):
        ledger.commit(replace(sample.commit(1), **fields(sample)))
    reader = LedgerReader(tmp_path)
    assert {s: reader.last_seq(s) for s in sample.PER_COMMIT} == sample.PER_COMMIT
    assert reader.query("select count(*) as n from commits") == [{"n": 1}]
    assert ledger.commit(sample.commit(1)) == Committed((6, 10), (3, 4), (2, 2))


def test_an_error_in_the_middle_of_a_commit_undoes_what_came_before_it(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.commit(sample.commit(0))
    ledger._conn.execute("create trigger t before insert on events begin select raise(fail, 'no events'); end")
    with pytest.raises(StoreError, match="no events"):
        ledger.commit(sample.commit(1))
    ledger._conn.execute("drop trigger t")
    assert LedgerReader(tmp_path).last_seq("readings") == 5
    assert ledger.commit(sample.commit(1)) == Committed((6, 10), (3, 4), (2, 2))


def test_a_second_writer_is_refused_by_the_name_of_the_first(
    sample: ModuleType, tmp_path: Path, writer: Callable[..., Any]
) -> None:
    first = writer(tmp_path, 1)
    with pytest.raises(StoreError, match=f"process {first.process.pid} writes this ledger already") as refused:
        sample.open_ledger(tmp_path)
    assert f"ps {first.process.pid}" in refused.value.hint
    first.kill()
    sample.open_ledger(tmp_path).close()


def test_the_ledger_of_another_gateway_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.close()
    with pytest.raises(StoreError, match=r"belongs to site plant-7, gateway gw-1, not to plant-7, gw-2"):
        Ledger.open(tmp_path, site="plant-7", gateway="gw-2", now_ms=1)


def test_a_store_path_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(StoreError, match="store: File exists"):
        Ledger.open(tmp_path / "store", site="plant-7", gateway="gw-1", now_ms=1)


def test_a_clean_stop_leaves_one_file_with_everything(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    ledger.commit(sample.commit(0))
    ledger.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ledger.db", "ledger.lock"]
    copy = sqlite3.connect(f"file:{tmp_path}/ledger.db?immutable=1", uri=True)
    assert copy.execute("select max(reading_last) from commits").fetchone() == (5,)
    copy.close()


def damaged(path: Path, how: str) -> None:
    data = bytearray((path / "ledger.db").read_bytes())
    if how == "foreign":
        data[:] = b"meter,kWh\nfan,12\n" * 400
    elif how == "truncated":
        del data[len(data) // 2 :]
    elif how == "overwritten":
        data[8192:40960] = os.urandom(32768)
    elif how == "an index that no start reads":
        file = sqlite3.connect(path / "ledger.db")
        (page,) = file.execute("select rootpage from sqlite_master where name = 'events_by_time'").fetchone()
        file.close()
        data[4096 * (page - 1) : 4096 * page] = b"\x7f" * 4096
    elif how == "emptied beside its -wal":
        data.clear()
        (path / "ledger.db-wal").write_bytes(b"x" * 4096)
    (path / "ledger.db").write_bytes(data)


DAMAGE = ["foreign", "truncated", "overwritten", "an index that no start reads", "emptied beside its -wal"]


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_ledger_is_refused_with_a_way_out(
    how: str, ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    for n in range(20):
        ledger.commit(sample.commit(n))
    ledger.close()
    damaged(tmp_path, how)
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(Corrupt, match=r"ledger\.db") as refused:
        sample.open_ledger(tmp_path)
    assert "backup" in refused.value.hint
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_a_last_commit_that_does_not_decode_is_found_at_the_start(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.commit(sample.commit(0))
    ledger.close()
    file = sqlite3.connect(tmp_path / "ledger.db")
    file.execute("update commits set readings = substr(readings, 1, 40)")
    file.commit()
    file.close()
    with pytest.raises(Corrupt, match="block of readings is damaged"):
        sample.open_ledger(tmp_path)


def test_another_sqlite_file_in_its_place_is_refused(sample: ModuleType, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ledger.db")
    other.execute("create table customers (name)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="not a wattledger ledger"):
        sample.open_ledger(tmp_path)
    with pytest.raises(StoreError, match="not a wattledger ledger"):
        LedgerReader(tmp_path).last_seq("readings")
