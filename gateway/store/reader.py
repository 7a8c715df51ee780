"""LedgerReader: every row of the ledger for uplink, page and command line. Read-only, in bounded pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from drivers.decode import Converter
from engine.errors import StoreError
from engine.event import Event
from engine.interval import IntervalRow, Part
from engine.reading import Layout, Reading
from gateway.store.blocks import Blocks
from gateway.store.counts import add_counts
from gateway.store.pages import PAGE_ROWS, Pages, Sizes
from gateway.store.rows import (
    Counts,
    Emission,
    Row,
    StoredInterval,
    Stream,
    event_row,
    interval_row,
    reading_row,
)  # fmt: skip

_FAR_MS = 1 << 62
_INTERVALS = (
    "select i.*, m.id as meter_id, a.role, a.parent, a.factors from intervals i"
    " join meters m on m.num = i.meter join attributions a on a.num = i.attribution"
)
_NEWER = (
    "select 1 from intervals n where n.start_ms = i.start_ms and n.meter = i.meter and n.seconds = i.seconds"
    " and n.revision > i.revision"
)


class Snapshot(NamedTuple):
    """The engine's state after all readings up to seq `through_seq`."""

    t_ms: int
    through_seq: int
    data: bytes


class LedgerReader:
    """`path` is the store directory. Every method raises StoreError when there is no readable ledger."""

    def __init__(self, path: Path) -> None:
        self._pages = Pages(path)
        self._blocks = Blocks(self._pages)
        self._page = self._pages.page
        self._converters: dict[str, Converter] = {}

    def rows(self, stream: Stream, first: int, last: int, limit: int = PAGE_ROWS) -> list[Row]:
        """Contract rows with `first` ≤ seq ≤ `last` in seq order, at most `limit` (≤ 1000)."""
        limit = min(limit, PAGE_ROWS, last - first + 1)
        if limit <= 0:
            return []
        if stream == "readings":
            found = self.raw_readings(first - 1, limit)
            return [self._reading_row(seq, reading) for seq, reading in found if seq <= last]
        if stream == "intervals":
            sql = f"{_INTERVALS} where i.seq between ? and ? order by i.seq limit ?"
            return [_interval(row) for row in self._page(sql, (first, last, limit))]
        sql = "select * from events where seq between ? and ? order by seq limit ?"
        return [_event(row) for row in self._page(sql, (first, last, limit))]

    def last_seq(self, stream: Stream) -> int:
        """0 when the stream is still empty."""
        return self._edge("max", stream) or self._moved(stream)

    def first_seq(self, stream: Stream) -> int:
        """The oldest seq that is still here; 1 for an empty stream."""
        return self._edge("min", stream) or self._moved(stream) + 1

    def raw_readings(self, after_seq: int, limit: int = PAGE_ROWS) -> list[tuple[int, Reading]]:
        """(seq, reading) in seq order after `after_seq`, at most `limit` (≤ 1000): for replay."""
        found: list[tuple[int, Reading]] = []
        limit = min(limit, PAGE_ROWS)
        while len(found) < limit and (block := self._blocks.after(after_seq)) is not None:
            start = max(after_seq + 1, block.first)
            take = block.readings[start - block.first :][: limit - len(found)]
            found += enumerate(take, start)
            after_seq = start + len(take) - 1
        return found

    def readings(
        self, meter: str | None, from_ms: int, to_ms: int, limit: int = PAGE_ROWS, after_seq: int = 0
    ) -> list[Row]:
        """Reading rows with `from_ms` ≤ t < `to_ms` in seq order; ask on with `after_seq`."""
        found: list[Row] = []
        limit = min(limit, PAGE_ROWS)
        for block in self._blocks.between(from_ms, to_ms, after_seq):
            for seq, reading in enumerate(block.readings, block.first):
                if seq > after_seq and from_ms <= reading.t_ms < to_ms and meter in (None, reading.meter):
                    found.append(self._reading_row(seq, reading))
                    if len(found) == limit:
                        return found
        return found

    def intervals(
        self,
        meter: str | None,
        from_ms: int,
        to_ms: int,
        limit: int = PAGE_ROWS,
        after_seq: int = 0,
        *,
        history: bool = False,
    ) -> list[Row]:
        """Interval rows with `from_ms` ≤ start < `to_ms` in seq order; ask on with `after_seq`.

        Only the highest revision of each, unless `history`.
        """
        sql = f"{_INTERVALS} where i.start_ms >= ? and i.start_ms < ? and +i.seq > ?"
        sql += " and (? is null or m.id = ?)"
        if not history:
            sql += f" and not exists ({_NEWER})"
        params = (from_ms, to_ms, after_seq, meter, meter, min(limit, PAGE_ROWS))
        return [_interval(row) for row in self._page(f"{sql} order by i.seq limit ?", params)]

    def events(
        self,
        from_ms: int = 0,
        to_ms: int = _FAR_MS,
        limit: int = PAGE_ROWS,
        after_seq: int = 0,
        *,
        newest_first: bool = False,
    ) -> list[Row]:
        """Event rows with `from_ms` ≤ t < `to_ms` in seq order; ask on with `after_seq`."""
        order = "desc" if newest_first else "asc"
        sql = f"select * from events where t_ms >= ? and t_ms < ? and seq > ? order by seq {order} limit ?"
        return [_event(row) for row in self._page(sql, (from_ms, to_ms, after_seq, min(limit, PAGE_ROWS)))]

    def counts(self, from_ms: int, to_ms: int) -> dict[str, Counts]:
        """Sum of the counts of all commits with `from_ms` ≤ t < `to_ms`, by meter."""
        sql = (
            "select counts, count(*) as times from commits where t_max_ms >= ? and t_min_ms < ? and t_ms >= ?"
            " and t_ms < ? and counts > ? group by counts order by counts limit ?"
        )
        total: dict[str, Counts] = {}
        after = ""
        while page := self._page(sql, (from_ms, to_ms, from_ms, to_ms, after, PAGE_ROWS)):
            meters = self._blocks.meters()
            for row in page:
                add_counts(total, row["counts"], row["times"], meters)
            after = page[-1]["counts"]
        return total

    @property
    def meta(self) -> dict[str, str]:
        """`site`, `gateway`, `epoch`."""
        meta = {row["key"]: row["value"] for row in self._page("select key, value from meta")}
        if "epoch" not in meta:
            raise StoreError(f"{self._pages.path} is just being created", hint="try again in a second")
        return meta

    @property
    def epoch(self) -> int:
        return int(self.meta["epoch"])

    def snapshot(self) -> Snapshot | None:
        rows = self._page("select t_ms, through_seq, data from snapshots where num = 1")
        return Snapshot(**rows[0]) if rows else None

    def held(self) -> list[Reading]:
        """Readings that wait for a confirmed clock and have no `seq` yet."""
        return self._blocks.held()

    def last_commit(self) -> tuple[int, int] | None:
        """(t_ms, boot_id) of the newest commit."""
        rows = self._page("select t_ms, boot_id from commits order by num desc limit 1")
        return (rows[0]["t_ms"], rows[0]["boot_id"]) if rows else None

    def layouts(self) -> dict[str, Layout]:
        """Every layout ever in force, by digest."""
        rows = self._pages.whole("select digest, text from layouts")
        return {row["digest"]: Layout.from_text(row["text"]) for row in rows}

    def in_force(self, kind: str) -> dict[str, str]:
        """The newest text of every id of this kind."""
        sql = (
            "select f.id, t.text from in_force f join texts t on t.digest = f.digest"
            " where f.num in (select max(num) from in_force where kind = ? group by id) order by f.id"
        )
        return {row["id"]: row["text"] for row in self._page(sql, (kind,))}

    def query(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Any SELECT on the documented tables and views; at most 1000 rows of it."""
        return self._page(sql, params)

    def sizes(self) -> Sizes:
        return self._pages.sizes()

    def close(self) -> None:
        self._pages.close()

    def _edge(self, side: str, stream: Stream) -> int | None:
        column = {"max": "reading_last", "min": "reading_first"}[side]
        sql = f"select {side}(seq) as seq from {stream}"
        if stream == "readings":
            sql = f"select {side}({column}) as seq from commits"
        seq: int | None = self._page(sql)[0]["seq"]
        return seq

    def _moved(self, stream: Stream) -> int:
        rows = self._page("select moved from streams where stream = ?", (stream,))
        return int(rows[0]["moved"]) if rows else 0

    def _reading_row(self, seq: int, reading: Reading) -> Row:
        converter = self._converters.get(reading.layout)
        if converter is None:
            rows = self._page("select text from layouts where digest = ?", (reading.layout,))
            converter = self._converters[reading.layout] = Converter(Layout.from_text(rows[0]["text"]))
        return reading_row(seq, reading, converter)


def _interval(row: dict[str, Any]) -> Row:
    parts = json.loads(row["parts"]) if row["parts"] else {}
    interval = IntervalRow(
        row["meter_id"], row["start_ms"], row["seconds"], row["import_mwh"], row["export_mwh"],
        row["reactive_import_mvarh"], row["reactive_export_mvarh"], row["demand_mw"], row["valid"],
        row["due"], row["flags"], {int(bit): Part(*part) for bit, part in parts.items()}, row["revision"],
        row["cause"],
    )  # fmt: skip
    emissions = tuple(
        Emission(ng, f["gas"], f["profile"], f["factor"], f["revision"])
        for ng, f in zip(json.loads(row["co2_ng"]), json.loads(row["factors"]), strict=False)
    )
    return interval_row(StoredInterval(row["seq"], interval, row["role"], row["parent"], emissions))


def _event(row: dict[str, Any]) -> Row:
    data = json.loads(row["data"])
    event = Event(row["t_ms"], row["kind"], row["meter"], row["bus"], row["until_ms"], data)
    return event_row(row["seq"], event, row["severity"], {"en": row["text_en"], "zh": row["text_zh"]})
