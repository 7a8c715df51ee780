"""Does the ledger still hold the rows that were delivered? If not, the lane is closed: nothing is skipped.

A ledger that was restored from an older copy gives its seqs again, to other rows; receivers would drop
them as duplicates. `collect` begins a new epoch for it at its next start; until then the lane waits.
"""

from __future__ import annotations

from gateway.clock import Clock
from gateway.uplink.book import Book
from gateway.uplink.cursor import Cursor
from gateway.uplink.envelope import anchor
from gateway.uplink.feed import Feed
from gateway.uplink.notice import Notice
from gateway.uplink.window import Lane, Window


class History:
    """Compares the row at each cursor with the one that was delivered."""

    def __init__(self, window: Window, feed: Feed, book: Book, clock: Clock) -> None:
        self._window = window
        self._feed = feed
        self._book = book
        self._clock = clock
        self._verified: set[str] = set()

    async def verify(self) -> None:
        """Close or reopen lanes; asks the ledger once per lane, and again only for a closed one."""
        for stream, lane in self._window.lanes.items():
            if self._feed.last.get(stream, 0) < lane.cursor:
                self._set(stream, lane, closed=True)
            elif lane.closed or stream not in self._verified:
                await self._compare(stream, lane)

    async def _compare(self, stream: str, lane: Lane) -> None:
        delivered = self._book.cursors.get(stream)
        if delivered is None or not delivered.anchor:
            return
        row = await self._feed.row(stream, delivered.seq)
        if self._feed.trouble is None:
            self._set(stream, lane, closed=row is not None and anchor(row) != delivered.anchor)
            self._verified.add(stream)

    def _set(self, stream: str, lane: Lane, *, closed: bool) -> None:
        if lane.closed == closed:
            return
        lane.closed = closed
        delivered = self._book.cursors.get(stream, Cursor(lane.cursor, "", closed=False))
        self._book.move(stream, delivered._replace(closed=closed))
        notice = Notice("history", {"stream": stream, "cursor": lane.cursor}) if closed else None
        self._book.stream_error(stream, notice, self._clock.now_ms())
