"""uplink.db: how far each stream is proven, the uplink's own events, hourly counts, its state for people.

One writer, the uplink. WAL and FULL: a cursor that was saved is never ahead of what was acknowledged.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import sqlite_utils

from engine.errors import Corrupt, StoreError
from gateway.uplink.notice import Notice

FILE = "uplink.db"
EVENTS_MAX = 10_000
SCHEMA = 1


class Cursor(NamedTuple):
    """`anchor` names the row at `seq`; `closed`: the ledger was seen to hold another history."""

    seq: int
    anchor: str
    closed: bool


class Count(NamedTuple):
    """Rows of one stream in one hour: sent (resends included), proven received, taken without subscriber."""

    published: int = 0
    acknowledged: int = 0
    broker_accepted: int = 0

    def plus(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(slots=True)
class Changes:
    """What one save writes, in one transaction."""

    t_ms: int
    cursors: dict[tuple[int, str], Cursor] = field(default_factory=dict)  # by epoch and stream
    counts: dict[tuple[int, str], Count] = field(default_factory=dict)
    notices: list[tuple[int, Notice]] = field(default_factory=list)
    state: Mapping[str, Any] = field(default_factory=dict)


class UplinkDb:
    """Opened by the one uplink of a store; a second one is refused."""

    def __init__(self, connection: sqlite3.Connection, lock: int) -> None:
        self._connection = connection
        self._lock = lock

    @classmethod
    def open(cls, directory: Path) -> UplinkDb:
        """Open or create `{directory}/uplink.db`. StoreError: held by another uplink, unreadable, newer."""
        path = directory / FILE
        lock = _lock(directory / "uplink.lock")
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            _migrate(connection, path)
        except sqlite3.OperationalError as error:
            os.close(lock)
            raise StoreError(f"{path}: {error}", hint=f"ls -ld {directory}; df {directory}") from error
        except sqlite3.DatabaseError as error:
            os.close(lock)
            raise Corrupt(
                f"{path}: {error}",
                hint=f"move {path} away: the cursors begin again and receivers drop what they have",
            ) from error
        return cls(connection, lock)

    def cursors(self, epoch: int) -> dict[str, Cursor]:
        rows = self._connection.execute(
            "SELECT stream, seq, anchor, closed FROM cursors WHERE epoch = ?", (epoch,)
        )
        return {stream: Cursor(seq, anchor, bool(closed)) for stream, seq, anchor, closed in rows}

    def save(self, changes: Changes) -> None:
        """One transaction, durable when this returns. Raises StoreError; then nothing of it was written."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._write(changes)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"uplink.db cannot be written: {error}", hint="df; dmesg | tail") from error

    def _write(self, changes: Changes) -> None:
        connection = self._connection
        connection.executemany(
            "INSERT INTO cursors (epoch, stream, seq, anchor, closed, moved_ms) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT (epoch, stream) DO UPDATE SET seq = excluded.seq, anchor = excluded.anchor,"
            " closed = excluded.closed, moved_ms = excluded.moved_ms WHERE excluded.seq >= seq",
            [(*key, *cursor, changes.t_ms) for key, cursor in changes.cursors.items()],
        )
        connection.executemany(
            "INSERT INTO hours (hour_ms, stream, published, acknowledged, broker_accepted) VALUES (?,?,?,?,?)"
            " ON CONFLICT (hour_ms, stream) DO UPDATE SET published = published + excluded.published,"
            " acknowledged = acknowledged + excluded.acknowledged,"
            " broker_accepted = broker_accepted + excluded.broker_accepted",
            [(hour_ms, stream, *count) for (hour_ms, stream), count in changes.counts.items()],
        )
        connection.executemany(
            "INSERT INTO events (t_ms, kind, data) VALUES (?,?,?)",
            [(t_ms, n.kind, orjson.dumps(n.words).decode()) for t_ms, n in changes.notices],
        )
        if changes.notices:
            oldest = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?"
            connection.execute(oldest, (EVENTS_MAX,))
        connection.execute(
            "INSERT INTO state (id, written_ms, body) VALUES (1,?,?)"
            " ON CONFLICT (id) DO UPDATE SET written_ms = excluded.written_ms, body = excluded.body",
            (changes.t_ms, orjson.dumps(changes.state).decode()),
        )

    def close(self) -> None:
        """Clean end: the WAL is folded in, so that readers without write permission can open the file."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        os.close(self._lock)


def _lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=f"ls -ld {path.parent}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise StoreError(f"another uplink runs on {path.parent}", hint=f"fuser -v {path}") from None
    return handle


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise StoreError(f"{path} was written by a newer version", hint="install that version again")
    if version == SCHEMA:
        return
    db = sqlite_utils.Database(connection)
    db.table("cursors").create(
        {"epoch": int, "stream": str, "seq": int, "anchor": str, "closed": int, "moved_ms": int},
        pk=("epoch", "stream"), not_null={"seq", "anchor", "closed", "moved_ms"}, if_not_exists=True,
    )  # fmt: skip
    db.table("hours").create(
        {"hour_ms": int, "stream": str, "published": int, "acknowledged": int, "broker_accepted": int},
        pk=("hour_ms", "stream"), if_not_exists=True,
    )  # fmt: skip
    db.table("events").create({"id": int, "t_ms": int, "kind": str, "data": str}, pk="id", if_not_exists=True)
    db.table("state").create({"id": int, "written_ms": int, "body": str}, pk="id", if_not_exists=True)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
