"""A disk that takes no more: the commit fails whole, and the same commit succeeds when there is room again."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from engine.errors import DiskFull, StoreError
from gateway.store.commit import Committed
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader


def test_a_full_disk_is_named_and_costs_nothing_that_was_committed(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.commit(sample.commit(0))
    pages = ledger._conn.execute("pragma page_count").fetchone()[0]
    ledger._conn.execute(f"pragma max_page_count = {pages}")  # SQLite itself says SQLITE_FULL from here on
    with pytest.raises(DiskFull, match="no space left") as full:
        commit_until_it_fails(ledger, sample)
    done = ledger.next_seq("events") - 1
    assert full.value.retryable
    assert "df -h" in full.value.hint
    reader = LedgerReader(tmp_path)
    assert {s: reader.last_seq(s) for s in sample.PER_COMMIT} == {s: k * done for s, k in sample.PER_COMMIT.items()}
    ledger._conn.execute("pragma max_page_count = 1000000")
    assert ledger.commit(sample.commit(done)) == Committed(
        (5 * done + 1, 5 * done + 5), (2 * done + 1, 2 * done + 2), (done + 1, done + 1)
    )


def commit_until_it_fails(ledger: Ledger, sample: ModuleType) -> None:
    for n in range(1, 1000):
        ledger.commit(sample.commit(n))


def test_a_write_that_fails_at_any_byte_fails_the_whole_commit(
    sample: ModuleType, tmp_path: Path, child: Callable[[Callable[[], str]], str]
) -> None:
    """The kernel refuses to let a file grow (RLIMIT_FSIZE), every 1000 bytes further, until a commit passes."""

    def starve() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ledger = sample.open_ledger(tmp_path)
        ledger.commit(sample.commit(0))
        reader = LedgerReader(tmp_path)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        failures = 0
        size = (tmp_path / "ledger.db-wal").stat().st_size
        while True:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000 * failures, hard))
            try:
                given = ledger.commit(sample.commit(1))
                break
            except StoreError:
                failures += 1
            found = {s: reader.last_seq(s) for s in sample.PER_COMMIT}
            assert found == sample.PER_COMMIT, found
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert given == Committed((6, 10), (3, 4), (2, 2)), given
        assert [r for _, r in reader.raw_readings(5)] == sample.readings(1)
        ledger.close()
        return str(failures)

    assert int(child(starve)) >= 10
    again = sample.open_ledger(tmp_path)
    assert again.next_seq("readings") == 11
    again.close()
