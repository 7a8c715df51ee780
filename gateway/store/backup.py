"""A complete copy of a ledger while it is written: SQLite's backup interface, -wal and all, checked."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from engine.errors import Corrupt, StoreError
from gateway.store.db import NAME, store_error
from gateway.store.lock import RestLock
from gateway.store.pages import open_read_only

_STEP_PAGES = 1024
_ENDS = (
    "select (select max(reading_last) from commits), (select max(seq) from intervals),"
    " (select max(seq) from events), (select count(*) from commits), (select count(*) from intervals),"
    " (select count(*) from events), (select group_concat(value) from meta)"
)


class Copied(NamedTuple):
    """What the copy holds: its size, and the last `seq` of each stream (0 = none)."""

    size_bytes: int
    readings: int
    intervals: int
    events: int


def backup(directory: Path, target: Path, progress: Callable[[int, int], None]) -> Copied:
    """Copy `{directory}/ledger.db` as of now to the file `target`; `progress(pages done, pages in all)`.

    The copy is one self-contained file; it gets its name only when it is whole, checked and on the disk.
    One read transaction spans the copy, so a writer beside it neither restarts nor tears it. Raises
    StoreError: the target exists or cannot be written; DiskFull; Corrupt when the copy fails its check.
    """
    source = directory / NAME
    part = target.with_name(target.name + ".part")
    if target.exists():
        raise StoreError(f"{target} exists already", hint="give a new name: a backup never overwrites one")
    try:
        if not source.exists():
            raise StoreError(f"{source}: no ledger", hint="which [store] path? `wattledger config show`")
        part.unlink(missing_ok=True)
        ends = _copy(source, part, progress)
        _verify(part, ends)
        _settle(part, target)
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}", hint=f"look at `ls -ld {target.parent}`") from error
    finally:
        part.unlink(missing_ok=True)
    return Copied(target.stat().st_size, *(end or 0 for end in ends[:3]))


def _copy(source: Path, part: Path, progress: Callable[[int, int], None]) -> tuple[int | None, ...]:
    rest = RestLock(source.parent)
    try:
        conn, _ = open_read_only(source, rest)
        with closing(conn), closing(sqlite3.connect(part, isolation_level=None)) as copy:
            return _transfer(conn, copy, progress)
    except sqlite3.Error as error:
        raise store_error(error, part) from error
    finally:
        rest.release()


def _transfer(
    conn: sqlite3.Connection, copy: sqlite3.Connection, progress: Callable[[int, int], None]
) -> tuple[int | None, ...]:
    conn.execute("begin")
    ends: tuple[int | None, ...] = conn.execute(_ENDS).fetchone()
    conn.backup(copy, pages=_STEP_PAGES, progress=lambda _, left, total: progress(total - left, total))
    copy.execute("pragma journal_mode = delete")
    return ends


def _verify(part: Path, ends: tuple[int | None, ...]) -> None:
    """The copy is sound and ends where the source ended."""
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            sound = copy.execute("pragma quick_check(1)").fetchone()[0]
            found = copy.execute(_ENDS).fetchone()
    except sqlite3.Error as error:
        raise store_error(error, part) from error
    if sound != "ok" or found != ends:
        raise Corrupt(
            f"{part}: the copy is not the ledger: {sound}, ends {found} instead of {ends}",
            hint="the source or the target disk is failing: `dmesg | tail`, then back up to another disk",
        )


def _settle(part: Path, target: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
