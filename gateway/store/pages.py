"""Bounded, read-only pages of `ledger.db`, whatever its writer is doing (DESIGN §5).

A page is one query that is read to its end and so ends its own read transaction: an open one would make
the -wal grow. Writer alive or killed: `mode=ro`. Writer stopped, or -shm gone: the file at rest, under a
shared lock for the page; when the writer is back, the next page opens anew.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlite_utils import Database

from engine.errors import StoreError
from gateway.store.db import NAME, connect_reader, connect_resting, database, refuse_other_format, store_error
from gateway.store.lock import RestLock

PAGE_ROWS = 1000
_OPEN_TRIES = 10  # a writer that is just starting has the lock, but not yet its -shm
_OPEN_PAUSE_S = 0.05


def open_read_only(path: Path, rest: RestLock) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether the file is at rest: then `rest` is held. Raises StoreError, Corrupt."""
    tries = _OPEN_TRIES
    try:
        while True:
            try:
                return _known(connect_reader(path), path), False
            except sqlite3.OperationalError:
                if rest.acquire():
                    return _known(connect_resting(path), path), True
                tries -= 1
                if not tries:
                    raise
            time.sleep(_OPEN_PAUSE_S)
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def _known(conn: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    try:
        if not conn.execute("select count(*) from sqlite_master").fetchone()[0]:
            raise StoreError(f"{path} is empty: it is just being created", hint="try again in a second")
        refuse_other_format(conn, path)
    except BaseException:
        conn.close()
        raise
    return conn


class Sizes(NamedTuple):
    """Bytes of `ledger.db` and of its -wal."""

    ledger: int
    wal: int


class Pages:
    """Safe to share between threads; opens at the first page, so it may exist before the ledger does."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self.file_id = (0, 0)  # changes when another file takes the ledger's place
        self._wal = self.path.with_name(NAME + "-wal")
        self._shm = self.path.with_name(NAME + "-shm")
        self._rest = RestLock(directory)
        self._db: Database | None = None
        self._resting = False
        self._look: tuple[int, ...] = ()  # at rest: how the files were; else: which -shm is shared
        self._busy = threading.Lock()

    def page(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """At most `PAGE_ROWS` rows. Raises StoreError: no ledger, another format, not permitted; Corrupt."""
        return self._rows(sql, params, PAGE_ROWS)

    def whole(self, sql: str) -> list[dict[str, Any]]:
        """All rows of a small table of names."""
        return self._rows(sql, (), None)

    def unchanged(self, file_id: tuple[int, int]) -> bool:
        """Is the file that was `file_id` still the one that is read?"""
        return file_id == self.file_id == self._file_id()

    def sizes(self) -> Sizes:
        try:
            return Sizes(self.path.stat().st_size, self._wal.stat().st_size if self._wal.exists() else 0)
        except OSError as error:
            raise self._absent(error) from error

    def close(self) -> None:
        with self._busy:
            self._drop()

    def _rows(self, sql: str, params: Sequence[Any], limit: int | None) -> list[dict[str, Any]]:
        with self._busy:
            try:
                return list(islice(self._ready().query(sql, params), limit))
            except sqlite3.Error as error:
                self._drop()
                raise store_error(error, self.path) from error
            finally:
                self._rest.release()

    def _drop(self) -> None:
        if self._db is not None:
            self._db.conn.close()
        self._db = None
        self._resting = False

    def _ready(self) -> Database:
        file_id = self._file_id()
        if self._db is not None and (file_id != self.file_id or not self._still_true()):
            self._drop()
        if self._db is None:
            self._db = self._open()
            self.file_id = file_id
        return self._db

    def _still_true(self) -> bool:
        """At rest: still so and unchanged, and the rest lock taken for this page. Else: still the same -shm."""
        if not self._resting:
            return self._shared() == self._look
        return self._rest.acquire() and self._state() == self._look

    def _open(self) -> Database:
        self._rest.release()
        state = self._state()
        conn, self._resting = open_read_only(self.path, self._rest)
        self._look = state if self._resting else self._shared()
        return database(conn)

    def _file_id(self) -> tuple[int, int]:
        try:
            stat = self.path.stat()
        except OSError as error:
            raise self._absent(error) from error
        return (stat.st_dev, stat.st_ino)

    def _state(self) -> tuple[int, ...]:
        stats = [path.stat() for path in (self.path, self._wal) if path.exists()]
        return tuple(n for stat in stats for n in (stat.st_size, stat.st_mtime_ns))

    def _shared(self) -> tuple[int, ...]:
        """A writer with another -shm than ours would neither see our locks nor show us its commits."""
        return (self._shm.stat().st_ino,) if self._shm.exists() else ()

    def _absent(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.path}: {error.strerror}",
            hint="`wattledger collect` creates it: has it run with this [store] path, may you read there?",
        )
