"""What the reader gives: pages of the streams, by number and by time, whatever file lies there."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from engine.errors import StoreError
from engine.reading import Reading
from gateway.store.commit import Commit
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader
from gateway.store.rows import Counts


@pytest.fixture
def reader(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> LedgerReader:
    """Twelve commits are there."""
    for n in range(12):
        ledger.commit(sample.commit(n))
    return LedgerReader(tmp_path)


def test_a_page_is_bounded_by_first_last_and_limit(reader: LedgerReader) -> None:
    def seqs(first: int, last: int, limit: int = 1000) -> list[int]:
        return [row["seq"] for row in reader.rows("readings", first, last, limit)]

    assert seqs(4, 7) == [4, 5, 6, 7]
    assert seqs(58, 99) == [58, 59, 60]
    assert seqs(3, 60, 9) == list(range(3, 12))
    assert seqs(61, 70) == seqs(7, 6) == []


def test_no_page_is_longer_than_a_thousand_rows(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    many = [Reading("fan", t, 1, t, sample.SMALL.digest, (t,)) for t in range(1500)]
    ledger.commit(Commit(1, 1, readings=many, layouts=[sample.SMALL]))
    reader = LedgerReader(tmp_path)
    assert [r["seq"] for r in reader.rows("readings", 1, 1500, 5000)] == list(range(1, 1001))
    assert [seq for seq, _ in reader.raw_readings(1000, 5000)] == list(range(1001, 1501))
    assert len(reader.query("with recursive n(x) as (select 1 union all select x + 1 from n) select x from n")) == 1000


def test_first_and_last_are_those_of_an_empty_stream_too(ledger: Ledger, tmp_path: Path) -> None:
    reader = LedgerReader(tmp_path)
    assert [(reader.first_seq(s), reader.last_seq(s)) for s in ("readings", "intervals", "events")] == [(1, 0)] * 3


def test_rows_that_moved_to_another_file_leave_their_numbers_used(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.commit(sample.commit(0))
    ledger._conn.execute("insert into streams values ('events', 1), ('readings', 5)")
    ledger._conn.execute("delete from events")
    ledger._conn.execute("delete from commits")
    reader = LedgerReader(tmp_path)
    assert (reader.first_seq("events"), reader.last_seq("events")) == (2, 1)
    ledger.close()
    again = sample.open_ledger(tmp_path)
    assert (again.next_seq("events"), again.next_seq("readings")) == (2, 6)
    again.close()


def test_replay_gives_raw_readings_after_a_number(reader: LedgerReader, sample: ModuleType) -> None:
    found = reader.raw_readings(33, 10)
    assert [seq for seq, _ in found] == list(range(34, 44))
    expected = [r for n in range(12) for r in sample.readings(n)][33:43]
    assert [r for _, r in found] == expected


def test_readings_are_found_by_time_and_meter(reader: LedgerReader, sample: ModuleType) -> None:
    rows = reader.readings("oven", sample.T0 + 20_000, sample.T0 + 50_000)
    assert [row["t"][-10:] for row in rows] == ["00:20.002Z", "00:30.002Z", "00:40.002Z"]
    everything = reader.readings(None, sample.T0, sample.T0 + 20_000)
    assert [row["seq"] for row in everything] == list(range(1, 11))


def test_time_pages_join_without_gap_or_double(reader: LedgerReader, sample: ModuleType) -> None:
    found: list[int] = []
    while page := reader.readings(None, sample.T0, sample.T0 + 10**9, 7, found[-1] if found else 0):
        found += [row["seq"] for row in page]
    assert found == list(range(1, 61))
    seqs: list[int] = []
    while page := reader.intervals(None, sample.T0, sample.T0 + 10**9, 5, seqs[-1] if seqs else 0):
        seqs += [row["seq"] for row in page]
    assert seqs == list(range(1, 25))


def test_a_late_reading_is_found_at_its_own_time(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    for n in range(3):
        ledger.commit(sample.commit(n))
    old = sample.readings(0)[4]._replace(t_ms=sample.T0 - 86_400_000)
    new = sample.readings(9)[4]
    ledger.commit(Commit(sample.T0 + 99_000, 1, readings=[new, old]))
    reader = LedgerReader(tmp_path)
    assert [r["seq"] for r in reader.readings(None, sample.T0 - 90_000_000, sample.T0)] == [16]
    assert [r["seq"] for r in reader.readings(None, sample.T0, sample.T0 + 10_000)] == [1, 2, 3, 4, 5]


def test_only_the_highest_revision_of_an_interval_counts_unless_history_is_asked(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.commit(sample.commit(0))
    revised = replace(sample.intervals(0)[0], import_mwh=5, revision=1, cause="reclassified")
    ledger.commit(replace(sample.commit(1), intervals=[revised]))
    reader = LedgerReader(tmp_path)
    span = (sample.T0, sample.T0 + 900_000)
    assert [(r["seq"], r["revision"]) for r in reader.intervals("main-1", *span)] == [(3, 1)]
    assert [r["seq"] for r in reader.intervals("main-1", *span, history=True)] == [1, 3]
    assert [r["seq"] for r in reader.intervals(None, *span)] == [2, 3]


def test_events_come_oldest_or_newest_first(reader: LedgerReader, sample: ModuleType) -> None:
    assert [r["seq"] for r in reader.events(limit=2)] == [1, 2]
    assert [r["seq"] for r in reader.events(limit=2, newest_first=True)] == [12, 11]
    assert [r["seq"] for r in reader.events(sample.T0 + 10_000, sample.T0 + 40_000, after_seq=2)] == [3, 4]


def test_counts_are_summed_over_commits_in_a_time(reader: LedgerReader, sample: ModuleType) -> None:
    total = reader.counts(sample.T0, sample.T0 + 10_000 * 12)
    assert set(total) == set(sample.METERS)
    assert total["oven"] == Counts(12, 12, 8, 8, {"meter": 4})
    assert reader.counts(sample.T0, sample.T0 + 10_000)["fan"] == Counts(1, 1, 0, 0, {"meter": 1})
    assert reader.counts(0, 1) == {}


def test_where_no_ledger_is_the_reader_says_who_makes_one(sample: ModuleType, tmp_path: Path) -> None:
    reader = LedgerReader(tmp_path)
    with pytest.raises(StoreError, match=r"ledger\.db: No such file") as absent:
        reader.last_seq("events")
    assert "wattledger collect" in absent.value.hint
    with pytest.raises(StoreError):
        reader.sizes()
    ledger = sample.open_ledger(tmp_path)
    ledger.commit(sample.commit(0))
    assert reader.last_seq("events") == 1
    assert reader.sizes().wal > 0
    ledger.close()
    assert reader.last_seq("events") == 1


def test_another_ledger_in_the_same_place_is_noticed(
    reader: LedgerReader, ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    assert reader.rows("readings", 60, 60)[0]["meter"] == "press-2"
    ledger.close()
    (tmp_path / "aside").mkdir()
    for file in tmp_path.glob("ledger.db*"):
        file.rename(tmp_path / "aside" / file.name)
    other = Ledger.open(tmp_path, site="plant-7", gateway="gw-1", now_ms=sample.T0 + 1)
    only = Reading("zeta", 1, 1, 1, sample.SMALL.digest, (1,))
    other.commit(Commit(1, 1, readings=[only], layouts=[sample.SMALL]))
    assert reader.rows("readings", 60, 60) == []
    assert reader.epoch == sample.T0 + 1
    assert [row["meter"] for row in reader.rows("readings", 1, 60)] == ["zeta"]
    other.close()


def test_a_file_put_in_place_is_read_before_any_writer_comes(
    reader: LedgerReader, ledger: Ledger, tmp_path: Path
) -> None:
    assert reader.last_seq("events") == 12
    other = tmp_path / "other"
    Ledger.open(other, site="plant-7", gateway="gw-1", now_ms=7).close()
    ledger.close()
    (other / "ledger.db").rename(tmp_path / "ledger.db")
    assert (reader.last_seq("events"), reader.epoch) == (0, 7)


def test_threads_may_share_one_reader(reader: LedgerReader) -> None:
    wrong: list[str] = []

    def read(first: int) -> None:
        for _ in range(30):
            seqs = [row["seq"] for row in reader.rows("readings", first, first + 8)]
            if seqs != list(range(first, first + 9)):
                wrong.append(f"{first}: {seqs}")

    threads = [threading.Thread(target=read, args=(first,)) for first in (1, 17, 33, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_reader_cannot_write(reader: LedgerReader) -> None:
    with pytest.raises(StoreError, match="readonly"):
        reader.query("delete from events returning seq")
