"""What goes into one transaction of the ledger, and what came out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.event import Event
from engine.interval import IntervalRow
from engine.reading import Layout, Reading
from gateway.store.rows import Attribution, Counts, Stream

SeqRange = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Boot:
    """A start of `collect`; `boot_id` is `Ledger.next_boot_id`."""

    boot_id: int
    started_ms: int
    version: str


@dataclass(frozen=True, slots=True)
class ClockRow:
    """From `mono_ms` of this boot on, UTC ms = monotonic ms + `offset_ms`. `t_ms` is when it was seen."""

    boot_id: int
    mono_ms: int
    offset_ms: int
    t_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class InForce:
    """A text that holds from this commit on: kind `profile | meter | factor | config | site`, and its id."""

    kind: str
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Commit:
    """All or nothing. May be handed in again after a failure; layouts and texts known already are skipped.

    `attributions` must name every meter that has an interval here. `snapshot` is the engine's state after
    all readings up to and including this commit. `held` readings wait for a confirmed clock: kept without a
    `seq` until a commit with `release_held`, whose `readings` bring them with their final time.
    `new_epoch` begins a new history of the streams [UTC ms].
    """

    t_ms: int
    boot_id: int
    readings: Sequence[Reading] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)
    intervals: Sequence[IntervalRow] = ()
    events: Sequence[Event] = ()
    clock: Sequence[ClockRow] = ()
    layouts: Sequence[Layout] = ()
    in_force: Sequence[InForce] = ()
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    snapshot: bytes | None = None
    boot: Boot | None = None
    held: Sequence[Reading] = ()
    release_held: bool = False
    new_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """First and last `seq` given per stream; None = no row."""

    readings: SeqRange | None
    intervals: SeqRange | None
    events: SeqRange | None

    def of(self, stream: Stream) -> SeqRange | None:
        return {"readings": self.readings, "intervals": self.intervals, "events": self.events}[stream]
