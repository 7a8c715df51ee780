"""Backup of a living ledger: complete with what only the -wal holds, checked, and never half."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from types import ModuleType

import pytest

from engine.errors import Corrupt, StoreError
from gateway.store import backup as backup_module
from gateway.store.backup import Copied, backup
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader


def ignore(done: int, total: int) -> None:
    assert 0 <= done <= total


def test_a_backup_holds_what_is_only_in_the_wal(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    for n in range(8):
        ledger.commit(sample.commit(n))
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "ledger.db").write_bytes((tmp_path / "ledger.db").read_bytes())
    with pytest.raises(StoreError):  # what copying the .db alone would have given
        assert LedgerReader(bare).last_seq("events") == 8
    target = tmp_path / "copy" / "ledger.db"
    target.parent.mkdir()
    copied = backup(tmp_path, target, ignore)
    assert copied == Copied(target.stat().st_size, 40, 16, 8)
    assert [p.name for p in target.parent.iterdir()] == ["ledger.db"]
    ours, theirs = LedgerReader(tmp_path), LedgerReader(target.parent)
    for stream in sample.PER_COMMIT:
        assert theirs.rows(stream, 1, 1000) == ours.rows(stream, 1, 1000) != []
    again = sample.open_ledger(target.parent)
    assert (again.next_seq("events"), again.epoch) == (9, ledger.epoch)
    again.close()


def test_a_writer_beside_the_backup_neither_tears_nor_restarts_it(
    ledger: Ledger, sample: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "_STEP_PAGES", 2)
    for n in range(20):
        ledger.commit(sample.commit(n))
    steps: list[int] = []

    def progress(done: int, total: int) -> None:
        steps.append(done)
        ledger.commit(sample.commit(20 + len(steps)))

    writer = threading.Thread(target=backup, args=(tmp_path, tmp_path / "b.db", progress))
    writer.start()
    writer.join(20)
    assert not writer.is_alive()
    assert len(steps) > 5
    assert steps == sorted(steps)
    copy = sqlite3.connect(tmp_path / "b.db")
    assert copy.execute("select max(reading_last) from commits").fetchone() == (100,)
    assert ledger.next_seq("events") == 21 + len(steps)
    copy.close()


def test_a_stopped_ledger_can_be_backed_up(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    ledger.commit(sample.commit(0))
    ledger.close()
    assert backup(tmp_path, tmp_path / "b.db", ignore)[1:] == (5, 2, 1)


def test_a_backup_never_overwrites(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "b.db").write_text("last year's")
    with pytest.raises(StoreError, match="exists already"):
        backup(tmp_path, tmp_path / "b.db", ignore)
    assert (tmp_path / "b.db").read_text() == "last year's"


def test_a_copy_that_fails_its_check_gets_no_name(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.commit(sample.commit(0))

    def spoil(done: int, total: int) -> None:
        part = tmp_path / "b.db.part"
        with part.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 20_000)

    with pytest.raises(Corrupt):
        backup(tmp_path, tmp_path / "b.db", spoil)
    assert sorted(p.name for p in tmp_path.glob("b.db*")) == []


@pytest.mark.parametrize("where", ["nowhere", "b.db"])
def test_what_cannot_be_backed_up_is_said(where: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        backup(tmp_path / "empty", tmp_path / where / "b.db", ignore)
    assert refused.value.hint
