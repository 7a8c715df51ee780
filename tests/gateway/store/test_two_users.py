"""Readers beside the writer: another user, every state of the writer, a slow one.

The reader is a process that may not write in the store. As root it is the user 65534; otherwise it has our
own user id and the write permissions are taken from the directory and its files while it reads (the writer
keeps what it has open; both ways SQLite gets EACCES, and that is what the test is about).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


def test_one_reader_of_another_user_lives_through_stop_kill_reboot_and_return(
    sample: ModuleType, open_dir: Path, child: Child, writer: Callable[..., Any]
) -> None:
    ends: list[int] = []
    def stages() -> Iterator[None]:
        running = writer(open_dir, 3)
        running.wait_for("done")
        yield
        running.close()
        yield
        running = writer(open_dir, 3)
        running.wait_for("done")
        yield
        running.kill()
        yield
        (open_dir / "ledger.db-shm").unlink()
        yield
        running = writer(open_dir, 3)
        running.wait_for("done")
        yield

    to_reader, from_test = os.pipe()
    from_reader, to_test = os.pipe()
    reader_pid = os.fork()
    if reader_pid == 0:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        os.close(from_test)
        reader = LedgerReader(open_dir)
        while os.read(to_reader, 1):
            os.write(to_test, bytes([reader.last_seq("events")]))
        os._exit(0)
    os.close(to_reader)
    os.close(to_test)
    for _ in stages():
        with locked(open_dir):
            os.write(from_test, b"?")
            ends += os.read(from_reader, 1)
    os.close(from_test)
    os.close(from_reader)
    os.waitpid(reader_pid, 0)
    assert ends == [3, 3, 6, 6, 6, 9]


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
