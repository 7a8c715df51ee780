"""Opening `ledger.db`: one writer with full durability, and readers that never write (DESIGN §5)."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlite_utils import Database

from engine.errors import Corrupt, DiskFull, StoreError
from gateway.store.schema import APPLICATION_ID, FORMAT, migrate

NAME = "ledger.db"
CHECKPOINT_PAGES = 250
WAL_KEEP_BYTES = 4 << 20
_WHOLE_CHECK_BYTES = 128 << 20  # quick_check reads about 90 MB/s: two seconds of a start at most
_BULK = ("commits", "intervals")
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """What a failure of SQLite means for a human."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code in _FULL:
        return DiskFull(f"{path}: no space left", hint=f"see what fills the disk: `df -h {path.parent}`")
    if code & 0xFF in _BROKEN:
        return Corrupt(
            f"{path} is damaged or not a ledger: {error}",
            hint=f"keep the file, move it aside with its -wal, and restore a backup to {path}",
        )
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"{path}: the disk reports an error: {error}",
            hint="look at `dmesg | tail`: the card may be failing",
        )
    return StoreError(f"{path}: {error}", hint=f"look at its owner and mode: `ls -l {path.parent}`")


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection, with the current format. The caller holds the writer's lock.

    Raises Corrupt, DiskFull, or StoreError for a foreign or newer file.
    """
    try:
        wal = path.with_name(path.name + "-wal")
        filled = wal.exists() and wal.stat().st_size > 0
        if filled and not (path.exists() and path.stat().st_size > 0):
            raise Corrupt(
                f"{path} is missing or empty, but its -wal is there",
                hint=f"part of a ledger was moved: move all of {path.name}* aside, then restore a backup",
            )
        if not filled:  # -shm may describe a file that lay here before, kept alive by a reader
            path.with_name(path.name + "-shm").unlink(missing_ok=True)
            wal.unlink(missing_ok=True)
        conn = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise _opening(error, path) from error
    try:
        _refuse_foreign(conn, path)
        conn.execute("pragma journal_mode = wal")
        conn.execute("pragma synchronous = full")
        conn.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        conn.execute(f"pragma journal_size_limit = {WAL_KEEP_BYTES}")
        migrate(database(conn))
        _quick_check(conn, path)
    except sqlite3.Error as error:
        conn.close()
        raise store_error(error, path) from error
    except BaseException:
        conn.close()
        raise
    return conn


def connect_reader(path: Path) -> sqlite3.Connection:
    """Read-only, beside a living or killed writer. Raises sqlite3.Error where -shm cannot be had."""
    return _reader(f"file:{_quoted(path)}?mode=ro")


def connect_resting(path: Path) -> sqlite3.Connection:
    """Read-only, of a ledger that nobody writes; the caller holds the rest lock.

    Without a -wal the file is immutable for us. With one (killed, then rebooted: -shm is gone) SQLite
    keeps the index of the -wal in our memory: no locks, nothing written, no committed row unseen.
    """
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() or wal.stat().st_size == 0:
        return _reader(f"file:{_quoted(path)}?immutable=1")
    return _reader(f"file:{_quoted(path)}?mode=ro&vfs=unix-none", "pragma locking_mode = exclusive")


def database(conn: sqlite3.Connection) -> Database:
    return Database(conn, recursive_triggers=False, execute_plugins=False, strict=True)


def refuse_other_format(conn: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError unless the file has the format that this program reads."""
    application = conn.execute("pragma application_id").fetchone()[0]
    found = conn.execute("pragma user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise StoreError(
            f"{path} is an SQLite file, but not a wattledger ledger",
            hint="give another [store] path, or move that file away",
        )
    if found > FORMAT:
        raise StoreError(
            f"{path} has format {found}, this program knows up to {FORMAT}",
            hint="a newer wattledger wrote it: install that version again (`wattledger version`)",
        )


def _refuse_foreign(conn: sqlite3.Connection, path: Path) -> None:
    tables = conn.execute("select count(*) from sqlite_master").fetchone()[0]
    if tables:
        refuse_other_format(conn, path)


def _quick_check(conn: sqlite3.Connection, path: Path) -> None:
    """The whole file while it is small, else all but the bulk tables."""
    if path.stat().st_size <= _WHOLE_CHECK_BYTES:
        findings = [row[0] for row in conn.execute("pragma quick_check(3)")]
    else:
        tables = [row[0] for row in conn.execute("select name from sqlite_master where type = 'table'")]
        findings = [
            row[0] for t in tables if t not in _BULK for row in conn.execute(f"pragma quick_check({t})")
        ]
    wrong = [finding for finding in findings if finding != "ok"]
    if wrong:
        raise Corrupt(
            f"{path} is damaged: {wrong[0]}",
            hint=f"keep the file, move it aside with its -wal, and restore a backup to {path}",
        )


def _opening(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    if isinstance(error, sqlite3.Error):
        return store_error(error, path)
    return StoreError(f"{path}: {error.strerror}", hint=f"look at its owner and mode: `ls -ld {path.parent}`")


def _quoted(path: Path) -> str:
    return os.fspath(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _reader(uri: str, pragma: str = "") -> sqlite3.Connection:
    """SQLite opens lazily: a first read shows whether it can."""
    conn = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2, check_same_thread=False)
    try:
        if pragma:
            conn.execute(pragma).fetchall()
        conn.execute("select count(*) from sqlite_master").fetchall()
    except BaseException:
        conn.close()
        raise
    return conn
