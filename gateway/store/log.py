"""Ledger: the one writer of `ledger.db`. A commit is one transaction, durable when it returns."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from engine.errors import StoreError
from gateway.store.blob import decode_readings
from gateway.store.commit import Commit, Committed
from gateway.store.db import NAME, connect_writer, store_error
from gateway.store.draft import Book, Draft
from gateway.store.lock import WriterLock
from gateway.store.rows import STREAMS, Stream

_CLOSE_WAIT_MS = 1000  # a clean stop does not wait longer for a reader's page
_TAIL_COMMITS = 10


class Ledger:
    """Opened for the life of `collect`; holds `ledger.lock`. Blocking: call `commit` in a thread."""

    def __init__(
        self, path: Path, lock: WriterLock, conn: sqlite3.Connection, book: Book, epoch: int
    ) -> None:
        self.path = path
        self.epoch = epoch
        self._lock = lock
        self._conn = conn
        self._book = book
        self._one_caller = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, site: str, gateway: str, now_ms: int) -> Ledger:
        """Open or create `{path}/ledger.db`; `now_ms` becomes the epoch of a new one.

        Raises StoreError: another writer lives, a foreign or newer file, another site's ledger; Corrupt;
        DiskFull.
        """
        file = path / NAME
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(path)
        except OSError as error:
            raise StoreError(
                f"{path}: {error.strerror}", hint=f"look at its owner and mode: `ls -ld {path} {path.parent}`"
            ) from error
        try:
            conn = connect_writer(file)
            try:
                epoch = _identify(conn, file, site, gateway, now_ms)
                book = _book(conn)
                _check_tail(conn, book)
            except BaseException:
                conn.close()
                raise
        except sqlite3.Error as error:
            lock.release()
            raise store_error(error, file) from error
        except BaseException:
            lock.release()
            raise
        return cls(file, lock, conn, book, epoch)

    @property
    def next_boot_id(self) -> int:
        return self._book.next_boot_id

    def next_seq(self, stream: Stream) -> int:
        """The `seq` that the next row of this stream will get."""
        return self._book.next_seq[stream]

    def commit(self, commit: Commit) -> Committed:
        """Write everything or nothing; when it returns, it survives a power cut.

        Raises DiskFull or StoreError with nothing written: hand the same commit in again later.
        Raises ValueError for a commit that can never be written.
        """
        with self._one_caller:
            draft = Draft(self._book, commit)
            try:
                self._conn.execute("begin immediate")
                for sql, rows in draft.statements:
                    self._conn.executemany(sql, rows)
                self._conn.execute("commit")
            except sqlite3.Error as error:
                self._conn.rollback()
                raise store_error(error, self.path) from error
            except BaseException:
                self._conn.rollback()
                raise
            self._book = draft.book
            self.epoch = self.epoch if commit.new_epoch is None else commit.new_epoch
            return draft.committed

    def close(self) -> None:
        """Move the -wal into the file and let go of the lock. The commits are safe even if this fails.

        Closing again does nothing.
        """
        with self._one_caller:
            if not self._lock.held:
                return
            try:
                self._conn.execute(f"pragma busy_timeout = {_CLOSE_WAIT_MS}")
                self._conn.execute("pragma wal_checkpoint(truncate)").fetchall()
            except sqlite3.Error as error:
                raise store_error(error, self.path) from error
            finally:
                self._conn.close()
                self._lock.release()


def _identify(conn: sqlite3.Connection, file: Path, site: str, gateway: str, now_ms: int) -> int:
    """The epoch of this ledger. A new file gets its name; another plant's file is refused."""
    meta = dict(conn.execute("select key, value from meta"))
    if not meta:
        conn.execute("begin immediate")
        rows = [("site", site), ("gateway", gateway), ("epoch", str(now_ms))]
        conn.executemany("insert into meta (key, value) values (?, ?)", rows)
        conn.execute("commit")
        return now_ms
    if (meta["site"], meta["gateway"]) != (site, gateway):
        raise StoreError(
            f"{file} belongs to site {meta['site']}, gateway {meta['gateway']}, not to {site}, {gateway}",
            hint="ids are for ever: write the old ids into [site], or give this gateway another [store] path",
        )
    return int(meta["epoch"])


def _book(conn: sqlite3.Connection) -> Book:
    moved: dict[str, int] = dict(conn.execute("select stream, moved from streams"))
    last = {
        "readings": conn.execute("select max(reading_last) from commits").fetchone()[0],
        "intervals": conn.execute("select max(seq) from intervals").fetchone()[0],
        "events": conn.execute("select max(seq) from events").fetchone()[0],
    }
    places = conn.execute("select role, parent, factors, num from attributions")
    in_force = conn.execute("select kind, id, digest from in_force order by num")
    boot = conn.execute("select max(boot_id) from boots").fetchone()[0]
    return Book(
        {stream: max(last[stream] or 0, moved.get(stream, 0)) + 1 for stream in STREAMS},
        (boot or 0) + 1,
        dict(conn.execute("select id, num from meters")),
        dict(conn.execute("select digest, num from layouts")),
        {(role, parent, factors): num for role, parent, factors, num in places},
        {(kind, id_): digest for kind, id_, digest in in_force},
    )


def _check_tail(conn: sqlite3.Connection, book: Book) -> None:
    """The last commits are where a dying card does its damage: they must decode. Raises Corrupt."""
    meters = {num: id_ for id_, num in book.meters.items()}
    layouts = {num: digest for digest, num in book.layouts.items()}
    tail = "select readings from commits where readings is not null order by num desc limit ?"
    for (blob,) in conn.execute(tail, (_TAIL_COMMITS,)):
        decode_readings(blob, meters, layouts)
