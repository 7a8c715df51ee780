"""Readers beside the writer: another user, every state of the writer, a slow one.

The reader is a process that may not write in the store. As root it is the user 65534; otherwise it has our
own user id and the write permissions are taken from the directory and its files while it reads (the writer
keeps what it has open; both ways SQLite gets EACCES, and that is what the test is about).
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway.store.db import connect_writer
from gateway.store.lock import WriterLock
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader

NOBODY = 65534
Child = Callable[[Callable[[], str]], str]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody without root's rights may write in `path`."""
    modes = {p: p.stat().st_mode for p in (path, *path.iterdir())}
    if os.geteuid() != 0:
        for p, mode in modes.items():
            p.chmod(mode & ~0o222)
    yield
    for p, mode in modes.items():
        if p.exists():
            p.chmod(mode)


def become_stranger(path: Path) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with pytest.raises(PermissionError):
        (path / "proof").touch()
    with pytest.raises(PermissionError):
        (path / "ledger.db").open("r+b")


def read_as_stranger(path: Path, child: Child) -> dict[str, Any]:
    def work() -> str:
        become_stranger(path)
        reader = LedgerReader(path)
        last = reader.last_seq("readings")
        return json.dumps(
            {
                "epoch": reader.epoch,
                "readings": reader.rows("readings", 1, last),
                "intervals": reader.rows("intervals", 1, 1000),
                "events": reader.rows("events", 1, 1000),
            }
        )

    with locked(path):
        found: dict[str, Any] = json.loads(child(work))
    return found


def test_another_user_reads_the_same_rows_whatever_the_writer_does(
    sample: ModuleType, open_dir: Path, child: Child, writer: Callable[..., Any]
) -> None:
    first = writer(open_dir, 40)
    first.wait_for("done")
    alive = read_as_stranger(open_dir, child)
    assert [row["seq"] for row in alive["readings"]] == list(range(1, 201))
    assert [row["data"]["action"] for row in alive["events"]] == [f"mark {n}" for n in range(40)]
    assert (open_dir / "ledger.db-wal").stat().st_size > 0

    first.kill()
    assert read_as_stranger(open_dir, child) == alive

    (open_dir / "ledger.db-shm").unlink()  # as after a reboot of a box whose files were not all saved
    assert (open_dir / "ledger.db-wal").stat().st_size > 0
    assert read_as_stranger(open_dir, child) == alive

    second = writer(open_dir, 0)
    second.close()
    assert not (open_dir / "ledger.db-wal").exists()
    assert read_as_stranger(open_dir, child) == alive

    writer(open_dir, 1).wait_for("done")
    again = read_as_stranger(open_dir, child)
    assert again["readings"][:200] == alive["readings"]
    assert again["events"][-1]["data"]["action"] == "mark 40"


class FarReader:
    """A reader process of another user that lives as long as the test and answers with its last event."""

    def __init__(self, path: Path) -> None:
        self._path = path
        questions, self._ask = os.pipe()
        self._answers, answer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._ask)
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            reader = LedgerReader(path)
            while os.read(questions, 1):
                os.write(answer, bytes([reader.last_seq("events")]))
            os._exit(0)
        os.close(questions)
        os.close(answer)

    def last_event(self, meanwhile: Callable[[], object] = lambda: None) -> int:
        with locked(self._path):
            os.write(self._ask, b"?")
            meanwhile()
            return os.read(self._answers, 1)[0]

    def stop(self) -> None:
        os.close(self._ask)
        os.close(self._answers)
        os.waitpid(self._pid, 0)


@pytest.fixture
def far(open_dir: Path) -> Iterator[FarReader]:
    reader = FarReader(open_dir)
    yield reader
    reader.stop()


def test_one_reader_of_another_user_lives_through_stop_kill_reboot_and_return(
    open_dir: Path, far: FarReader, writer: Callable[..., Any]
) -> None:
    def start() -> Any:
        running = writer(open_dir, 3)
        running.wait_for("done")
        return running

    running = start()
    assert far.last_event() == 3
    running.close()
    assert far.last_event() == 3
    running = start()
    assert far.last_event() == 6
    running.kill()
    assert far.last_event() == 6
    (open_dir / "ledger.db-shm").unlink()
    assert far.last_event() == 6
    start()
    assert far.last_event() == 9


def test_a_backup_put_in_place_while_a_reader_lives_is_what_both_see(
    sample: ModuleType, open_dir: Path, tmp_path: Path, far: FarReader, writer: Callable[..., Any]
) -> None:
    """The reader keeps the old -shm alive; a writer that believed it would see a damaged file."""
    longer = sample.open_ledger(tmp_path)
    for n in range(120):
        longer.commit(sample.commit(n))
    longer.close()
    running = writer(open_dir, 3)
    running.wait_for("done")
    assert far.last_event() == 3
    running.close()
    assert (open_dir / "ledger.db-shm").exists()
    (tmp_path / "ledger.db").rename(open_dir / "ledger.db")
    writer(open_dir, 1).wait_for("done")
    assert far.last_event() == 121


def test_a_reader_waits_for_a_writer_that_is_just_starting(
    open_dir: Path, far: FarReader, writer: Callable[..., Any]
) -> None:
    writer(open_dir, 2).close()
    lock = WriterLock(open_dir)
    opened: list[sqlite3.Connection] = []

    def start() -> None:
        time.sleep(0.1)  # the lock is taken, but the files are still those of a stopped ledger
        open_dir.chmod(0o755)
        (open_dir / "ledger.db").chmod(0o644)
        opened.append(connect_writer(open_dir / "ledger.db"))
        opened[0].execute("select * from meta").fetchall()

    assert far.last_event(start) == 2
    opened[0].close()
    lock.release()


def test_a_clean_stop_empties_the_wal_although_a_reader_is_connected(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    reader = LedgerReader(tmp_path)
    ledger.commit(sample.commit(0))
    assert reader.last_seq("events") == 1
    assert reader.sizes().wal > 0
    ledger.close()
    assert reader.sizes().wal == 0
    assert reader.last_seq("events") == 1


def test_a_slow_reader_does_not_make_the_wal_grow(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    reader = LedgerReader(tmp_path)
    seq, largest = 0, 0
    for n in range(250):
        ledger.commit(sample.commit(n))
        if n % 5 == 0:
            page = reader.rows("readings", seq + 1, seq + 25)
            seq = page[-1]["seq"] if page else seq
        largest = max(largest, reader.sizes().wal)
    kept_open = sqlite3.connect(f"file:{tmp_path}/ledger.db?mode=ro", uri=True, isolation_level=None)
    kept_open.execute("begin")
    kept_open.execute("select * from events").fetchone()
    for n in range(250, 500):
        ledger.commit(sample.commit(n))
    grown = reader.sizes().wal
    kept_open.close()
    assert largest < 2_000_000
    assert grown > 2 * largest  # so the check above can fail
    assert seq > 0


def test_a_stop_beside_a_reader_that_holds_on_is_complete(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    reader = LedgerReader(tmp_path)
    ledger.commit(sample.commit(0))
    assert reader.last_seq("readings") == 5
    held = sqlite3.connect(f"file:{tmp_path}/ledger.db?mode=ro", uri=True, isolation_level=None)
    held.execute("begin")
    held.execute("select * from events").fetchone()
    ledger.commit(sample.commit(1))
    ledger.close()
    held.close()
    assert LedgerReader(tmp_path).last_seq("readings") == reader.last_seq("readings") == 10
