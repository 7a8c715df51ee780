"""One task per bus: a dead meter costs its own time-out, a person is served between two polls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drivers.bus import Answer, MeterPoint
from engine.errors import LinkDown, NoReply
from engine.event import Event
from engine.reading import Column, Layout
from gateway.clock import Clock
from gateway.collect.account import Account
from gateway.collect.poller import Poller
from gateway.collect.watch import Watch

LAYOUT = Layout((Column("active_energy_import", "uint32"),))
INTERVAL_MS = 100


def _point(name: str) -> MeterPoint:
    return MeterPoint(name, 1, "p", LAYOUT, INTERVAL_MS)


@dataclass
class ScriptedBus:
    """A bus whose meters are dead, and which may be down; keeps who was asked."""

    dead: set[str] = field(default_factory=set)
    down: bool = False
    id: str = "hall"
    connections: int = 1
    asked: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def poll(self, point: MeterPoint) -> Answer:
        self.asked.append(point.id)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        if self.down:
            raise LinkDown("connection refused")
        if point.id in self.dead:
            raise NoReply("no answer")
        return Answer(point.id, time.monotonic_ns(), (1,))

    async def read_registers(self, unit: int, function: int, address: int, count: int) -> bytes:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        return bytes(2 * count)

    async def close(self) -> None:
        self.asked.append("closed")


class Taken:
    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def deliver(self, answer: Answer) -> bool:
        self.answers.append(answer)
        return True


@dataclass
class Stage:
    poller: Poller
    bus: ScriptedBus
    taken: Taken
    account: Account
    events: list[Event]
    clock: Clock


@asynccontextmanager
async def _running(bus: ScriptedBus, *meters: str) -> AsyncIterator[Stage]:
    clock, taken, events = Clock(), Taken(), list[Event]()
    account = Account(dict.fromkeys(meters, INTERVAL_MS), clock.now_ms())
    poller = Poller(bus, [_point(m) for m in meters], clock, taken, account, Watch(events.append))
    task = asyncio.create_task(poller.run())
    try:
        yield Stage(poller, bus, taken, account, events, clock)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(stage: Stage, condition: object) -> None:
    for _ in range(2000):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"not reached; asked: {stage.bus.asked[-20:]}")


async def test_every_meter_is_polled_at_every_tick_and_the_bus_is_closed_at_the_end() -> None:
    async with _running(ScriptedBus(), "a", "b") as stage:
        await _until(stage, lambda: len(stage.taken.answers) >= 8)
    assert stage.bus.asked[-1] == "closed"
    assert {"a", "b"} == {answer.meter for answer in stage.taken.answers}
    counts = stage.account.cut(stage.clock.now_ms())
    assert counts["a"].attempted == counts["a"].answered == counts["a"].valid


async def test_a_dead_meter_is_asked_less_and_less_and_the_other_at_every_tick() -> None:
    async with _running(ScriptedBus(dead={"b"}), "a", "b") as stage:
        await _until(stage, lambda: stage.bus.asked.count("a") >= 16)
    asked_b = stage.bus.asked.count("b")
    assert 2 <= asked_b <= 8, "1 + the doublings that fit in 16 ticks, with room for a slow machine"
    counts = stage.account.cut(stage.clock.now_ms())
    assert counts["b"].attempted == asked_b
    assert counts["b"].valid == 0
    assert set(counts["b"].missed) == {"meter"}
    assert [e.kind for e in stage.events] == ["meter_silent"]


async def test_a_bus_that_is_down_is_tried_once_not_once_per_meter() -> None:
    async with _running(ScriptedBus(down=True), "a", "b", "c") as stage:
        await asyncio.sleep(0.35)
    assert stage.bus.asked.count("a") + stage.bus.asked.count("b") + stage.bus.asked.count("c") == 1
    counts = stage.account.cut(stage.clock.now_ms())
    assert all(set(c.missed) == {"bus"} for c in counts.values())
    assert [e.kind for e in stage.events] == ["bus_down"]


async def test_a_request_of_a_person_never_runs_beside_a_poll() -> None:
    async with _running(ScriptedBus(), "a", "b") as stage:
        for _ in range(50):
            payload = await stage.poller.borrow(lambda bus: bus.read_registers(1, 3, 0, 2))
            assert payload == bytes(4)
        await _until(stage, lambda: len(stage.taken.answers) >= 4)
    assert stage.bus.most == 1
