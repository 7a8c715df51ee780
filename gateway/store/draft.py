"""A Commit as SQL statements. Pure: the ledger executes them, and keeps the new book only if all succeed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.carbon import co2_ng
from engine.event import Event
from engine.interval import IntervalRow
from engine.reading import Reading
from gateway.store.blob import encode_readings
from gateway.store.commit import Commit, Committed, InForce, SeqRange
from gateway.store.counts import encode_counts
from gateway.store.rows import Attribution, Stream

Statement = tuple[str, list[tuple[Any, ...]]]
Place = tuple[str, str | None, str]  # role, parent, factors


@dataclass(slots=True)
class Book:
    """What the writer knows of its file: the next numbers, and the numbers of names."""

    next_seq: dict[Stream, int]
    next_boot_id: int
    meters: dict[str, int] = field(default_factory=dict)
    layouts: dict[str, int] = field(default_factory=dict)
    attributions: dict[Place, int] = field(default_factory=dict)
    in_force: dict[tuple[str, str], str] = field(default_factory=dict)

    def copy(self) -> Book:
        return Book(
            dict(self.next_seq), self.next_boot_id, dict(self.meters), dict(self.layouts),
            dict(self.attributions), dict(self.in_force),
        )  # fmt: skip


class Draft:
    """`statements` of one commit, in order, `book` as it is after them, `committed` for the caller.

    Raises ValueError for what no ledger can take: a reading of an unknown layout, an interval of a meter
    without attribution, an unknown miss cause.
    """

    def __init__(self, book: Book, commit: Commit) -> None:
        self.book = book.copy()
        self.statements: list[Statement] = []
        self._name(commit)
        for text in commit.in_force:
            self._text(text, commit.t_ms)
        if commit.boot is not None:
            boot = commit.boot
            self._add("insert into boots values (?, ?, ?)", [(boot.boot_id, boot.started_ms, boot.version)])
            self.book.next_boot_id = max(self.book.next_boot_id, boot.boot_id + 1)
        self._add(
            "insert into clock (boot_id, mono_ms, offset_ms, t_ms, cause) values (?, ?, ?, ?, ?)",
            [(c.boot_id, c.mono_ms, c.offset_ms, c.t_ms, c.cause) for c in commit.clock],
        )
        if commit.new_epoch is not None:
            self._add("update meta set value = ? where key = 'epoch'", [(str(commit.new_epoch),)])
        if commit.release_held:
            self._add("delete from held where num > ?", [(0,)])
        if commit.held:
            self._add("insert into held (readings) values (?)", [(self._blob(commit.held),)])
        readings = self._readings(commit)
        intervals = self._intervals(commit)
        events = self._events(commit)
        if commit.snapshot is not None:
            through = self.book.next_seq["readings"] - 1
            self._add("replace into snapshots values (1, ?, ?, ?)", [(commit.t_ms, through, commit.snapshot)])
        self.committed = Committed(readings, intervals, events)

    def _add(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self.statements.append((sql, rows))

    def _name(self, commit: Commit) -> None:
        """Number the meters and layouts that are new."""
        meters = self.book.meters
        counted = {r.meter for r in (*commit.readings, *commit.held)} | set(commit.counts)
        named = counted | {i.meter for i in commit.intervals}
        fresh = sorted(named - meters.keys())
        for meter in fresh:
            meters[meter] = len(meters) + 1
        self._add("insert into meters (num, id) values (?, ?)", [(meters[m], m) for m in fresh])
        layouts = self.book.layouts
        for layout in commit.layouts:
            if layout.digest not in layouts:
                layouts[layout.digest] = len(layouts) + 1
                row = (layouts[layout.digest], layout.digest, layout.text, commit.t_ms)
                self._add("insert into layouts (num, digest, text, from_ms) values (?, ?, ?, ?)", [row])

    def _text(self, text: InForce, t_ms: int) -> None:
        digest = hashlib.sha256(text.text.encode()).hexdigest()[:16]
        if self.book.in_force.get((text.kind, text.id)) == digest:
            return
        self.book.in_force[text.kind, text.id] = digest
        self._add("insert or ignore into texts (digest, text) values (?, ?)", [(digest, text.text)])
        self._add(
            "insert into in_force (kind, id, digest, from_ms) values (?, ?, ?, ?)",
            [(text.kind, text.id, digest, t_ms)],
        )

    def _give(self, stream: Stream, count: int) -> SeqRange | None:
        first = self.book.next_seq[stream]
        self.book.next_seq[stream] = first + count
        return (first, first + count - 1) if count else None

    def _blob(self, readings: Sequence[Reading]) -> bytes:
        unknown = {r.layout for r in readings} - self.book.layouts.keys()
        if unknown:
            raise ValueError(f"readings of a layout that the ledger never saw: {sorted(unknown)}")
        return encode_readings(readings, self.book.meters, self.book.layouts)

    def _readings(self, commit: Commit) -> SeqRange | None:
        readings = sorted(commit.readings, key=lambda r: (r.t_ms, r.meter))
        given = self._give("readings", len(readings))
        blob = self._blob(readings) if readings else None
        times = [commit.t_ms, *(r.t_ms for r in readings)]
        row = (
            commit.t_ms, commit.boot_id, *(given or (None, None)), min(times), max(times),
            encode_counts(commit.counts, self.book.meters), blob,
        )  # fmt: skip
        self._add(
            "insert into commits (t_ms, boot_id, reading_first, reading_last, t_min_ms, t_max_ms, counts,"
            " readings) values (?, ?, ?, ?, ?, ?, ?, ?)",
            [row],
        )
        return given

    def _intervals(self, commit: Commit) -> SeqRange | None:
        intervals = sorted(commit.intervals, key=lambda i: (i.start_ms, i.meter, i.revision))
        given = self._give("intervals", len(intervals))
        if given is None:
            return None
        rows = []
        for seq, interval in enumerate(intervals, given[0]):
            place = commit.attributions.get(interval.meter)
            if place is None:
                raise ValueError(f"an interval of {interval.meter} without its attribution")
            rows.append(self._interval(seq, interval, place))
        self._add(f"insert into intervals values ({', '.join('?' * 17)})", rows)
        return given

    def _interval(self, seq: int, i: IntervalRow, place: Attribution) -> tuple[Any, ...]:
        energy = i.import_mwh
        emissions = [] if energy is None else [co2_ng(energy, ref.factor) for ref in place.factors]
        parts = {str(bit): [p.readings, p.import_mwh] for bit, p in sorted(i.parts.items())}
        return (
            seq, self.book.meters[i.meter], i.start_ms, i.seconds, i.revision, i.cause,
            i.import_mwh, i.export_mwh, i.reactive_import_mvarh, i.reactive_export_mvarh, i.demand_mw,
            i.valid, i.due, i.flags, _json(parts) if parts else None, self._place(place), _json(emissions),
        )  # fmt: skip

    def _place(self, place: Attribution) -> int:
        factors = [
            {"profile": ref.profile, "factor": ref.factor.id, "revision": ref.factor.revision,
             "gas": ref.factor.gas, "mg_per_kwh": str(ref.factor.value_mg_per_kwh)}
            for ref in place.factors
        ]  # fmt: skip
        key = (place.role, place.parent, _json(factors))
        known = self.book.attributions
        if key not in known:
            known[key] = len(known) + 1
            self._add("insert into attributions values (?, ?, ?, ?)", [(known[key], *key)])
        return known[key]

    def _events(self, commit: Commit) -> SeqRange | None:
        events = sorted(commit.events, key=lambda e: (e.t_ms, e.meter or ""))
        given = self._give("events", len(events))
        if given is not None:
            rows = [_event(seq, event) for seq, event in enumerate(events, given[0])]
            self._add(f"insert into events values ({', '.join('?' * 10)})", rows)
        return given


def _event(seq: int, event: Event) -> tuple[Any, ...]:
    text = event.text()
    return (
        seq, event.t_ms, event.kind, event.severity, event.meter, event.bus, event.until_ms,
        text["en"], text["zh"], _json(event.data),
    )  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
