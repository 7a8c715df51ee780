"""One task per polled bus: serve the ticks of its meters, one request in flight, no meter at another's cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from drivers.bus import Answer, Backoff, MeterPoint, PolledBus
from engine.errors import DriverError, Implausible, LinkDown
from gateway.clock import Clock
from gateway.collect.account import Account
from gateway.collect.schedule import Schedule
from gateway.collect.watch import Watch

T = TypeVar("T")
BACKOFF_LIMIT_MS = 60_000


class Sink(Protocol):
    """Where answers go; tells whether the answer carried a usable counter (or power, without counters)."""

    def deliver(self, answer: Answer) -> bool: ...


def without_counter(point: MeterPoint) -> Implausible:
    """What is wrong with an answer that brought neither a usable counter nor, without counters, power."""
    return Implausible(
        f"{point.id} answers, but its energy registers hold no valid value",
        hint=f"look at what it sends: wattledger readings --meter {point.id} --limit 5",
    )


@dataclass(slots=True)
class BusFigures:
    """Live figures of one bus. `busy_s` is time spent in requests."""

    busy_s: float = 0.0
    polls: int = 0
    skipped: int = 0
    late_ms: int = 0  # of the last tick
    since: float = field(default_factory=time.monotonic)

    def show(self, up: bool) -> dict[str, Any]:
        """For the live file; utilisation [%] is the mean since the start."""
        share = self.busy_s / max(1e-9, time.monotonic() - self.since)
        return {
            "up": up, "utilisation": round(100 * share, 1), "polls": self.polls, "skipped": self.skipped,
            "late_ms": self.late_ms,
        }  # fmt: skip


class Poller:
    """Polls the meters of one bus until cancelled.

    `phase_ms` after each tick the polls begin, always the same: with a hundred buses they would otherwise
    wait for each other in changing order, and the intervals between readings would waver.
    """

    def __init__(
        self,
        bus: PolledBus,
        points: list[MeterPoint],
        clock: Clock,
        sink: Sink,
        account: Account,
        watch: Watch,
        phase_ms: int = 0,
    ) -> None:
        self.bus = bus
        self.points = {point.id: point for point in points}
        self.figures = BusFigures()
        self._clock, self._sink, self._account, self._watch = clock, sink, account, watch
        self._phase_ms = phase_ms
        self._schedule = Schedule({p.id: p.interval_ms for p in points}, self._now_ms())
        self._meter_backoff = {p.id: Backoff(max(1, p.interval_ms // 2), BACKOFF_LIMIT_MS) for p in points}
        self._link_backoff = Backoff(1000, BACKOFF_LIMIT_MS)
        self._line = asyncio.Lock()

    def _now_ms(self) -> int:
        """Time on the scale of the ticks."""
        return self._clock.now_ms() - self._phase_ms

    def realign(self) -> None:
        """The clock was stepped."""
        self._schedule.realign(self._now_ms())

    async def borrow(self, work: Callable[[PolledBus], Awaitable[T]]) -> T:
        """Run a person's request between two polls."""
        async with self._line:
            return await work(self.bus)

    async def run(self) -> None:
        try:
            while True:
                await self._wait()
                tick = self._schedule.take(self._now_ms())
                if tick is None:
                    continue
                point = self.points[tick.meter]
                if tick.skipped:
                    self.figures.skipped += tick.skipped
                    self._account.missed(point.id, tick.skipped, "bus")
                await self._serve(point, tick.at_ms)
        finally:
            await self.bus.close()

    async def _wait(self) -> None:
        delay_ms = self._schedule.next_ms() - self._now_ms()
        if delay_ms > 0:
            await asyncio.sleep(delay_ms / 1000)

    async def _serve(self, point: MeterPoint, tick_ms: int) -> None:
        mono_ms = self._clock.mono_ms()
        if not self._link_backoff.ready(mono_ms):
            self._account.missed(point.id, 1, "bus")
            return
        backoff = self._meter_backoff[point.id]
        if not backoff.ready(mono_ms):
            self._account.missed(point.id, 1, "meter")
            return
        self.figures.late_ms = self._now_ms() - tick_ms
        started = time.monotonic()
        try:
            async with self._line:
                answer = await self.bus.poll(point)
        except DriverError as error:
            self._failed(point, error, backoff)
        else:
            valid = self._sink.deliver(answer)
            now_ms = self._clock.now_ms()
            self._account.polled(point.id, answered=True, valid=valid)
            if valid:
                self._watch.answered(point.id, now_ms)
            else:
                self._watch.failed(point.id, point.interval_ms, without_counter(point), now_ms)
            self._watch.bus(self.bus.id, True, "", now_ms)
            backoff.succeeded()
            self._link_backoff.succeeded()
        self.figures.busy_s += time.monotonic() - started
        self.figures.polls += 1

    def _failed(self, point: MeterPoint, error: DriverError, backoff: Backoff) -> None:
        now_ms = self._clock.now_ms()
        self._account.polled(point.id, answered=False, valid=False, cause=error.cause)
        self._watch.failed(point.id, point.interval_ms, error, now_ms)
        if isinstance(error, LinkDown):
            self._watch.bus(self.bus.id, False, str(error), now_ms, error.hint)
            self._link_backoff.failed(self._clock.mono_ms())
        else:
            backoff.failed(self._clock.mono_ms())
