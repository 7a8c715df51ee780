"""The readings of the ledger, one commit at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from engine.reading import Reading
from gateway.store.blob import decode_readings
from gateway.store.pages import PAGE_ROWS, Pages

_BLOCK = (
    "select reading_first, reading_last, readings, (select max(num) from meters) as meters,"
    " (select max(num) from layouts) as layouts from commits"
)


class Block(NamedTuple):
    """The readings of one commit: `readings[k]` has seq `first + k`."""

    first: int
    last: int
    readings: list[Reading]


_NONE = Block(1, 0, [])


class Blocks:
    """Keeps the last decoded commit, and the names that the numbers in it stand for."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._file_id = pages.file_id
        self._last = _NONE
        self._meters: dict[int, str] = {}
        self._layouts: dict[int, str] = {}

    def after(self, seq: int) -> Block | None:
        """The commit with the first reading after `seq`. Raises StoreError, Corrupt."""
        block = self._last
        if block.first <= seq + 1 <= block.last and self._pages.unchanged(self._file_id):
            return block
        rows = self._pages.page(f"{_BLOCK} where reading_last > ? order by reading_last limit 1", (seq,))
        return self._decode(rows[0]) if rows else None

    def between(self, from_ms: int, to_ms: int, after_seq: int) -> Iterator[Block]:
        """Commits with a reading in this time, in seq order; all of each, so filter what comes."""
        sql = (
            "select reading_last from commits indexed by commits_by_time"
            " where t_max_ms >= ? and t_min_ms < ? and reading_last > ? order by num limit ?"
        )
        while page := self._pages.page(sql, (from_ms, to_ms, after_seq, PAGE_ROWS)):
            for row in page:
                block = self.after(row["reading_last"] - 1)
                if block is not None:
                    yield block
            after_seq = page[-1]["reading_last"]

    def meters(self) -> dict[int, str]:
        """Meter ids by the number that blocks and counts use."""
        return {row["num"]: row["id"] for row in self._pages.whole("select num, id from meters")}

    def held(self) -> list[Reading]:
        """What waits for a confirmed clock."""
        rows = self._pages.whole("select readings from held order by num")
        layouts = {row["num"]: row["digest"] for row in self._pages.whole("select num, digest from layouts")}
        meters = self.meters()
        return [reading for row in rows for reading in decode_readings(row["readings"], meters, layouts)]

    def _decode(self, row: dict[str, Any]) -> Block:
        replaced = not self._pages.unchanged(self._file_id)
        if replaced or row["meters"] > len(self._meters) or row["layouts"] > len(self._layouts):
            self._file_id = self._pages.file_id
            self._meters = self.meters()
            layouts = self._pages.whole("select num, digest from layouts")
            self._layouts = {layout["num"]: layout["digest"] for layout in layouts}
        readings = decode_readings(row["readings"], self._meters, self._layouts)
        block = self._last = Block(row["reading_first"], row["reading_last"], readings)
        return block
