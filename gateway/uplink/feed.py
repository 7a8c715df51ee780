"""The ledger as the uplink sees it: how far it is, and its next rows. All disk work runs in one thread."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from engine.errors import StoreError
from gateway.store.rows import Stream
from gateway.uplink.envelope import Row
from gateway.uplink.notice import Notice

PAGE_ROWS = 500
T = TypeVar("T")


class RowSource(Protocol):
    """What the uplink needs of the ledger; `gateway.store.reader.LedgerReader` is one."""

    @property
    def epoch(self) -> int: ...
    def last_seq(self, stream: Stream) -> int: ...
    def rows(self, stream: Stream, first: int, last: int, limit: int) -> list[dict[str, Any]]: ...
    def close(self) -> None: ...


class DiskThread:
    """One thread for SQLite, so that a slow card never delays the socket."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="disk")

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


class Feed:
    """`epoch` and `last` as of the latest `look`; rows by page. A ledger that cannot be read is tried again.

    `open_source` opens the ledger (in the disk thread); `ledger` is its file, watched by its stat.
    """

    def __init__(
        self, open_source: Callable[[], RowSource], ledger: Path, streams: Sequence[str], disk: DiskThread
    ) -> None:
        self.epoch: int | None = None
        self.last: dict[str, int] = {}
        self.trouble: Notice | None = None
        self._open_source = open_source
        self._files = (str(ledger), str(ledger) + "-wal")
        self._streams = tuple(streams)
        self._disk = disk
        self._source: RowSource | None = None
        self._seen: object = None
        self._seen_ms = -1
        self._pages: dict[str, list[Row]] = {}

    async def look(self, now_ms: int, recheck_ms: int) -> bool:
        """Ask the ledger how far it is, if its files changed or `recheck_ms` went by; True if it moved."""
        signature = [_stat(file) for file in self._files]
        if signature == self._seen and 0 <= now_ms - self._seen_ms < recheck_ms:
            return False
        self._seen, self._seen_ms = signature, now_ms
        before = (self.epoch, self.last)
        found = await self._ask(self._look)
        if found is not None:
            self.epoch, self.last = found
            if before[0] != self.epoch:
                self._pages.clear()
        return before != (self.epoch, self.last)

    def _look(self, source: RowSource) -> tuple[int, dict[str, int]]:
        return source.epoch, {stream: source.last_seq(cast(Stream, stream)) for stream in self._streams}

    async def take(self, stream: str, first: int, rows: int) -> list[Row]:
        """Up to `rows` rows from seq `first`, read a page ahead; empty if the ledger cannot give them now."""
        page = self._pages.get(stream, [])
        skip = first - page[0]["seq"] if page else -1
        if not 0 <= skip < len(page):
            last = self.last.get(stream, 0)
            found = await self._ask(lambda source: source.rows(cast(Stream, stream), first, last, PAGE_ROWS))
            if found is None:
                return []
            if [row["seq"] for row in found] != list(range(first, first + len(found))) or not found:
                reason = f"{stream} has no row {first}, though it goes to {last}"
                self.trouble = Notice("ledger", {"reason": reason})
                return []
            page, skip = found, 0
        # The page itself is kept until it is used up: a batch that is refused is often cut again from it.
        self._pages[stream] = page[skip:]
        return self._pages[stream][:rows]

    async def row(self, stream: str, seq: int) -> Row | None:
        """One row by its seq; None if the ledger does not hold it."""
        found = await self._ask(lambda source: source.rows(cast(Stream, stream), seq, seq, 1))
        return found[0] if found else None

    async def _ask(self, question: Callable[[RowSource], T]) -> T | None:
        try:
            answer: T = await self._disk.run(self._answer, question)
        except (StoreError, sqlite3.Error, OSError) as error:
            self.trouble = Notice("ledger", {"reason": str(error)})
            await self.close()
            return None
        self.trouble = None
        return answer

    def _answer(self, question: Callable[[RowSource], T]) -> T:
        if self._source is None:
            self._source = self._open_source()
        answer: T = question(self._source)
        return answer

    async def close(self) -> None:
        self._pages.clear()
        self._seen_ms = -1
        source, self._source = self._source, None
        if source is not None:
            await self._disk.run(source.close)


def _stat(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
