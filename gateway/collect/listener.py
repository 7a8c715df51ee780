"""One task per listening bus (IEC 104): values come by themselves, counters are interrogated at every tick."""

from __future__ import annotations

import asyncio

from drivers.bus import Answer, ListeningBus, MeterPoint
from drivers.decode import Converter
from engine.errors import DriverError, LinkDown
from gateway.clock import Clock
from gateway.collect.account import Account
from gateway.collect.poller import BusFigures, Sink, without_counter
from gateway.collect.schedule import Schedule
from gateway.collect.watch import Watch


class Listener:
    """Listens to one bus until cancelled. `hint`: the command that shows why a link is down."""

    def __init__(
        self,
        bus: ListeningBus,
        points: list[MeterPoint],
        clock: Clock,
        sink: Sink,
        account: Account,
        watch: Watch,
        hint: str = "",
    ) -> None:
        self.bus = bus
        self.points = {point.id: point for point in points}
        self.figures = BusFigures()
        self._clock, self._sink, self._account, self._watch = clock, sink, account, watch
        self._schedule = Schedule({p.id: p.interval_ms for p in points}, clock.now_ms())
        self._counters = {p.id: Converter(p.layout).mode != "integrate" for p in points}
        self._valid_since_tick: set[str] = set()
        self._asking: set[str] = set()
        self._up, self._reason, self._hint = False, "not connected yet", hint

    def realign(self) -> None:
        """The clock was stepped."""
        self._schedule.realign(self._clock.now_ms())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.bus.run(list(self.points.values()), self._deliver, self._state))
            tasks.create_task(self._tick())

    def _deliver(self, answer: Answer) -> None:
        if self._sink.deliver(answer):
            self._valid_since_tick.add(answer.meter)
            self._watch.answered(answer.meter, self._clock.now_ms())

    def _state(self, up: bool, reason: str) -> None:
        self._up, self._reason = up, reason
        self._watch.bus(self.bus.id, up, reason, self._clock.now_ms(), self._hint)

    async def _tick(self) -> None:
        """Serve the ticks. Meters are interrogated side by side: a silent one costs the others nothing."""
        async with asyncio.TaskGroup() as inquiries:
            await self._serve(inquiries)

    async def _serve(self, inquiries: asyncio.TaskGroup) -> None:
        while True:
            delay_ms = self._schedule.next_ms() - self._clock.now_ms()
            if delay_ms > 0:
                await asyncio.sleep(delay_ms / 1000)
            tick = self._schedule.take(self._clock.now_ms())
            if tick is None:
                continue
            point = self.points[tick.meter]
            self._account.missed(point.id, tick.skipped, "bus")
            self.figures.skipped += tick.skipped
            if not self._up:
                self._account.missed(point.id, 1, "bus")
                self._failed(point, LinkDown(self._reason, hint=self._hint))
            elif point.id in self._asking:
                self._account.missed(point.id, 1, "meter")
            elif self._counters[point.id]:
                self._asking.add(point.id)
                inquiries.create_task(self._interrogate(point))
            else:
                well = self.bus.answers(point)
                self._account.polled(point.id, answered=well, valid=well)
                if not well:
                    self._failed(point, without_counter(point))

    async def _interrogate(self, point: MeterPoint) -> None:
        self._valid_since_tick.discard(point.id)
        self.figures.polls += 1
        try:
            await self.bus.interrogate(point)
        except DriverError as error:
            self._account.polled(point.id, answered=False, valid=False, cause=error.cause)
            self._failed(point, error)
            return
        finally:
            self._asking.discard(point.id)
        valid = point.id in self._valid_since_tick
        self._account.polled(point.id, answered=True, valid=valid)
        if not valid:
            self._failed(point, without_counter(point))

    def _failed(self, point: MeterPoint, error: DriverError) -> None:
        self._watch.failed(point.id, point.interval_ms, error, self._clock.now_ms())
