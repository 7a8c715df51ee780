"""The one way of a reading: wire → memory → engine → commit. Each step is taken once, in one direction.

`deliver` is called by the bus tasks. Twice a second `step` feeds the engine and renews the live file; every
commit interval `cut` copies what is pending in one step, and a thread writes it. What arrives meanwhile
belongs to the next commit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.bus import Answer
from drivers.decode import EngineValues
from engine.errors import StoreError
from engine.event import Event
from engine.interval import IntervalRow, Running
from engine.ledger import Engine, Sample
from engine.reading import COUNTER_UNUSABLE, Quality, Reading
from gateway.clock import Clock
from gateway.collect.account import Account
from gateway.collect.backlog import Backlog
from gateway.collect.clockwatch import Step
from gateway.collect.continuity import event_of
from gateway.collect.hold import Hold
from gateway.collect.points import Metered
from gateway.store.commit import ClockRow, Commit
from gateway.store.log import Ledger
from gateway.store.rows import Attribution

SNAPSHOT_EVERY_MS = 60_000
LATE_EVERY_MS = 60_000
WAIT_MAX_MS = 86_400_000
_FUTURE = {"en": "the clock was far ahead and was set back", "zh": "时钟曾大幅超前，现已拨回"}
_NOTHING = EngineValues(None, None, None, None, None, None)


@dataclass(slots=True)
class _Pending:
    """What the next commit will hold."""

    readings: list[Reading] = field(default_factory=list)
    intervals: list[IntervalRow] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class Pipeline:
    """Owns the engine and the pending copies; one task calls it, so there is nothing to lock."""

    def __init__(
        self,
        *,
        meters: Mapping[str, Metered],
        attributions: Mapping[str, Attribution],
        clock: Clock,
        boot_id: int,
        engine: Engine,
        ledger: Ledger,
        account: Account,
        hold: Hold,
        show: Callable[[Reading], None],
    ) -> None:
        self._meters, self._attributions = meters, attributions
        self._clock, self._boot_id = clock, boot_id
        self._engine, self._ledger, self._account = engine, ledger, account
        self._hold, self._show = hold, show
        self._fresh: list[tuple[Reading, EngineValues]] = []
        self._pending = _Pending()
        self._backlog = Backlog()
        self._snapshot_ms = 0
        self._disk_full = False
        self._released = False
        self._clock_rows: list[ClockRow] = []
        self._newest: dict[str, list[int]] = {}  # per meter, of each of EngineValues
        self._late: Counter[str] = Counter()
        self._late_told_ms = -LATE_EVERY_MS
        self._count_from_ms = 0
        self._one_writer = asyncio.Lock()
        self.lost = 0

    def deliver(self, answer: Answer) -> bool:
        """Take an answer in; True if it carried a usable counter (or power, for a meter without)."""
        metered = self._meters[answer.meter]
        mono_ms = answer.mono_ns // 1_000_000
        t_ms = self._clock.at_mono(answer.mono_ns) if answer.tag_ms is None else answer.tag_ms
        layout = metered.point.layout.digest
        flags = answer.flags if answer.tag_ms is not None else answer.flags | self._hold.flag
        reading = Reading(answer.meter, t_ms, self._boot_id, mono_ms, layout, answer.columns, int(flags))
        values = metered.converter.engine_values(answer.columns)
        if answer.tag_ms is None and self._hold.waits:
            self._hold.keep(reading)
            self._show(reading)
        else:
            self._fresh.append((reading, values))
        if answer.flags & COUNTER_UNUSABLE:
            return False
        if metered.converter.mode == "integrate":
            return values.power_mw is not None
        return values.import_mwh is not None or values.export_mwh is not None

    def tell(self, event: Event) -> None:
        """An event for the next commit."""
        self._pending.events.append(event)

    def stepped(self, step: Step) -> None:
        """The clock was confirmed or jumped: a row for the log, and an event."""
        offset_ms = step.after_ms - step.mono_ms
        self._account.stepped(step.before_ms, step.after_ms)
        self.clock_went_back(step.before_ms - step.after_ms)
        self._clock_rows.append(ClockRow(self._boot_id, step.mono_ms, offset_ms, step.after_ms, step.cause))
        self.tell(
            Event(step.after_ms, "clock", data={"cause": step.cause, "offset_ms": step.after_ms - step.before_ms})
        )

    def clock_went_back(self, ms: int) -> None:
        """The time is `ms` earlier than what was metered already (nothing to do if it is not).

        Up to a day the counters wait until it has passed, and what they moved meanwhile counts then. Beyond that
        the time before was wrong: counting starts anew at the next interval, for none may be counted twice.
        """
        if ms <= 0:
            return
        self._snapshot_ms = -SNAPSHOT_EVERY_MS  # a replay must not cross this moment
        if ms <= WAIT_MAX_MS:
            self._engine.clock_went_back(ms)
            return
        interval_ms = self._engine.interval_ms
        now_ms = self._clock.now_ms()
        self._engine = Engine(self._engine.devices, interval_ms)
        self._newest.clear()
        self._count_from_ms = now_ms - now_ms % interval_ms + interval_ms
        for meter in self._meters:
            self.tell(Event(now_ms, "recount", meter=meter, data={"reason": _FUTURE}))

    def running(self, meter: str, since_ms: int) -> Running:
        return self._engine.running(meter, since_ms)

    def release(self, held: list[Reading]) -> None:
        """Readings whose time is settled now (first sync, or the hold is over) take their way."""
        for reading in held:
            metered = self._meters.get(reading.meter)
            # Of a meter or layout that is no longer configured the reading is kept, but nothing is computed.
            known = metered is not None and metered.point.layout.digest == reading.layout
            values = metered.converter.engine_values(reading.columns) if metered and known else _NOTHING
            self._fresh.append((reading, values))
        self._released = True

    def step(self) -> None:
        """Feed what arrived to the engine; show what came."""
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        fresh.sort(key=lambda item: item[0].t_ms)
        samples = []
        for reading, values in fresh:
            if values is _NOTHING:
                pass
            elif self._in_order(reading, values):
                samples.append(sample_of(reading, values))
            else:
                # Kept like every reading; the flag keeps it out of the counters now and in every replay.
                reading = reading._replace(flags=reading.flags | Quality.LATE_BACKFILLED)
                self._late[reading.meter] += 1
            self._pending.readings.append(reading)
        closed = self._engine.ingest(samples)
        self._pending.intervals += closed.intervals
        for decision in closed.continuity:
            if decision.kind == "late":
                self._late[decision.meter] += decision.data["readings"]
            else:
                self.tell(event_of(decision))
        for reading, _ in fresh:
            if reading.meter in self._meters:
                self._show(reading)  # each of them: an IEC 104 meter is complete only after several

    def _in_order(self, reading: Reading, values: EngineValues) -> bool:
        """False for a time-tagged reading that is older than one of the same counters before it."""
        if reading.t_ms < self._count_from_ms:
            return False
        newest = self._newest.setdefault(reading.meter, [0] * len(values))
        carried = [k for k, value in enumerate(values) if value is not None]
        if any(reading.t_ms < newest[k] for k in carried):
            return False
        for k in carried:
            newest[k] = reading.t_ms
        return True

    def open_with(self, commit: Commit) -> None:
        """The first commit of a run; like every other it waits if the disk is full."""
        self._backlog.add(commit)

    def cut(self, now_ms: int, *, snapshot: bool = False) -> None:
        """Copy everything pending into one commit and queue it for the disk."""
        self.step()
        if self._clock.mono_ms() - self._late_told_ms >= LATE_EVERY_MS:
            self._late_told_ms = self._clock.mono_ms()
            for meter, readings in self._late.items():
                self.tell(Event(now_ms, "late", meter=meter, data={"readings": readings}))
            self._late.clear()
        pending, self._pending = self._pending, _Pending()
        pending.readings.sort(key=lambda r: (r.t_ms, r.meter))
        image = None
        if snapshot or now_ms - self._snapshot_ms >= SNAPSHOT_EVERY_MS:
            image, self._snapshot_ms = self._engine.snapshot(), now_ms
        self._backlog.add(
            Commit(
                t_ms=now_ms,
                boot_id=self._boot_id,
                readings=pending.readings,
                counts=self._account.cut(now_ms),
                intervals=pending.intervals,
                events=pending.events,
                clock=self._clock_rows,
                attributions=self._attributions,
                snapshot=image,
                held=self._hold.take(),
                release_held=self._released,
            )
        )
        self._released, self._clock_rows = False, []

    async def write(self) -> None:
        """Write the queued commits, oldest first. A refused one stays and is retried at the next cut.

        Cancelling it stops the waiting, not the writing: what the thread has begun must not be written again.
        """
        await asyncio.shield(self._drain())

    async def _drain(self) -> None:
        async with self._one_writer:
            while len(self._backlog):
                try:
                    await asyncio.to_thread(self._ledger.commit, self._backlog.oldest())
                except StoreError as error:
                    self._refused(error)
                    return
                self._backlog.done()
            if self._disk_full:
                self._disk_full = False
                self.tell(Event(self._clock.now_ms(), "disk_ok", data={"lost": self.lost}))

    def _refused(self, error: StoreError) -> None:
        now_ms = self._clock.now_ms()
        lost = self._backlog.shed(now_ms)
        self.lost += lost.total()
        if not self._disk_full:
            self._disk_full = True
            self.tell(Event(now_ms, "disk_full", data={"lost": self.lost, "reason": str(error)}))

    @property
    def health(self) -> dict[str, int | bool]:
        """For the live file: commits that wait, readings lost to the disk, the clock."""
        return {
            "commits_waiting": len(self._backlog),
            "disk_full": self._disk_full,
            "readings_lost": self.lost,
            "readings_held": self._hold.waiting,
            "clock_synced": self._hold.synced,
        }


def sample_of(reading: Reading, values: EngineValues) -> Sample:
    return Sample(
        meter=reading.meter,
        t_ms=reading.t_ms,
        flags=reading.flags,
        import_mwh=values.import_mwh,
        export_mwh=values.export_mwh,
        reactive_import_mvarh=values.reactive_import_mvarh,
        reactive_export_mvarh=values.reactive_export_mvarh,
        power_mw=values.power_mw,
        reactive_mvar=values.reactive_mvar,
    )
