"""Process `collect`: opens the log, recalls the engine, starts a task per bus, stops cleanly within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import cast
from zoneinfo import ZoneInfo

from drivers.bus import ListeningBus, PolledBus
from drivers.registry import open_bus
from engine.errors import ConfigError, LinkDown
from engine.event import Event
from engine.interval import Running
from gateway.buslock import BusLock
from gateway.clock import Clock
from gateway.collect.account import Account
from gateway.collect.clockwatch import ClockWatch, kernel_synchronised
from gateway.collect.desk import Desk
from gateway.collect.hold import Hold
from gateway.collect.listener import Listener
from gateway.collect.live import Live
from gateway.collect.pipeline import Pipeline
from gateway.collect.points import Metered, metered
from gateway.collect.poller import Poller
from gateway.collect.schedule import ticks_between
from gateway.collect.start import attributions, factor_refs, first_events, new_epoch, opening, recall
from gateway.collect.watch import Watch
from gateway.inbox import Inbox
from gateway.live import FILE as LIVE_FILE
from gateway.process import Frame
from gateway.site.settings import Settings
from gateway.store.commit import Boot
from gateway.store.log import Ledger

log = logging.getLogger("wattledger.collect")
STEP_MS, STEP_OFFSET_MS = 500, 250
BUS_RETRY_S = 5.0
COMMIT_OFFSET_MS = 500
BUSES_AT_ONCE, SPREAD_MS = 4, 5


def _trusted() -> bool:
    return True


class Collect:
    """One run under one configuration."""

    def __init__(self, settings: Settings, clock: Clock, ledger: Ledger, boot: Boot, rejected: str) -> None:
        self._settings, self._clock = settings, clock
        runtime, store = settings.store.runtime_dir, settings.store.path
        self._runtime, self._rejected = runtime, rejected
        self._meters = metered(settings)
        factors = factor_refs(settings)
        past = recall(store, self._meters, settings.site.energy_interval)
        confirmed: Callable[[], bool] = kernel_synchronised if settings.site.clock == "sync" else _trusted
        self._clockwatch = ClockWatch(clock, confirmed)
        self._hold = Hold(clock, settings.store.clock_hold, synced=self._clockwatch.synced)
        now_ms = clock.now_ms()
        self._account = Account({m.meter.id: m.meter.interval for m in self._meters.values()}, now_ms)
        zone = ZoneInfo(settings.site.timezone)
        self._live = Live(runtime / LIVE_FILE, boot.boot_id, self._running, self._meters, factors, zone)
        self._pipeline = Pipeline(
            meters=self._meters,
            attributions=attributions(settings, factors),
            clock=clock,
            boot_id=boot.boot_id,
            engine=past.engine,
            ledger=ledger,
            account=self._account,
            hold=self._hold,
            show=self._live.show,
        )
        epoch = new_epoch(settings, ledger.epoch, past.last_seq, now_ms)
        box_ticks = self._account.box_off(past.last_commit_ms, past.known) if past.last_commit_ms is not None else 0
        events = first_events(settings, past, now_ms, rejected, epoch=epoch, box_ticks=box_ticks)
        self._pipeline.open_with(opening(settings, self._meters, factors, clock, boot, events, epoch))
        if past.held:
            self._pipeline.release(past.held)
        if past.last_commit_ms is not None:
            self._pipeline.clock_went_back(past.last_commit_ms - now_ms)
        self._watch = Watch(self._pipeline.tell)
        self._workers: dict[str, Poller | Listener] = {}
        self._inbox = Inbox(store, runtime, Desk(self._meters, self._workers).serve)

    def _running(self, meter: str, since_ms: int) -> Running:
        return self._pipeline.running(meter, since_ms)

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Until `stop`; then the last commit, with a snapshot."""
        await self._pipeline.write()
        jobs = [self._steps(), self._commits(), self._errands()]
        buses = sorted({m.bus for m in self._meters.values()})
        jobs += [self._bus(bus, order) for order, bus in enumerate(buses)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            # What is there now stays: without this each full collection walks numba's half million objects.
            gc.collect()
            gc.freeze()
            ready()
            await stop.wait()
            for task in tasks:
                task.cancel()
        self._pipeline.tell(Event(self._clock.now_ms(), "stop"))
        self._pipeline.cut(self._clock.now_ms(), snapshot=True)
        await self._pipeline.write()
        self._live.remove()

    def rejected(self, error: ConfigError) -> None:
        """A new configuration was refused; this run goes on under its own."""
        reason = str(error)
        self._pipeline.tell(Event(self._clock.now_ms(), "config_rejected", data={"reason": reason}))
        self._rejected = reason

    async def _bus(self, bus_id: str, order: int) -> None:
        """Serve the bus; whatever goes wrong with it, the others go on and it is tried again."""
        mine = [m for m in self._meters.values() if m.bus == bus_id]
        while True:
            try:
                await self._own_and_serve(bus_id, mine, order)
            except Exception as error:  # the border between one bus and the rest of the plant
                log.exception("bus %s failed and is opened anew", bus_id)
                self._watch.bus(bus_id, False, repr(error), self._clock.now_ms(), "journalctl -u wattledger-collect")
            await asyncio.sleep(BUS_RETRY_S)

    async def _own_and_serve(self, bus_id: str, mine: list[Metered], order: int) -> None:
        lock = BusLock(self._runtime, bus_id)
        await self._own(bus_id, lock, mine)
        worker = self._worker(bus_id, mine, order)
        self._workers[bus_id] = worker
        try:
            await worker.run()
        finally:
            del self._workers[bus_id]
            lock.release()

    async def _own(self, bus_id: str, lock: BusLock, mine: list[Metered]) -> None:
        """Take the lock; while a stranger has the bus, say so and try again."""
        while True:
            since_ms = self._clock.now_ms()
            try:
                lock.take("collect")
            except LinkDown as error:
                self._watch.bus(bus_id, False, str(error), since_ms, error.hint)
                for m in mine:
                    self._watch.failed(m.meter.id, m.meter.interval, error, since_ms)
            else:
                return
            try:
                await asyncio.sleep(BUS_RETRY_S)
            finally:
                now_ms = self._clock.now_ms()
                for m in mine:
                    self._account.missed(m.meter.id, ticks_between(m.meter.interval, since_ms, now_ms), "bus")

    def _worker(self, bus_id: str, mine: list[Metered], order: int) -> Poller | Listener:
        profiles = {m.profile.id: m.profile for m in mine}
        of = self._settings.buses[bus_id]
        bus = open_bus(of, profiles, wall_ms=self._clock.at_mono)
        points = [m.point for m in mine]
        if of.protocol == "iec104":
            listening = cast(ListeningBus, bus)
            hint = f"see whether the station listens: nc -zv {of.host} {of.tcp_port}"
            return Listener(listening, points, self._clock, self._pipeline, self._account, self._watch, hint)
        polled = cast(PolledBus, bus)
        phase_ms = min(order // BUSES_AT_ONCE * SPREAD_MS, min(p.interval_ms for p in points) // 5)
        return Poller(polled, points, self._clock, self._pipeline, self._account, self._watch, phase_ms)

    async def _steps(self) -> None:
        """Twice a second, away from the ticks: the engine, the live file."""
        while True:
            await self._next(STEP_MS, STEP_OFFSET_MS)
            self._pipeline.step()
            figures = {
                bus: {**worker.figures.show(self._watch.bus_up(bus)), "discarded": dict(worker.bus.discarded)}
                for bus, worker in self._workers.items()
            }
            health = {**self._pipeline.health, "config_rejected": self._rejected}
            self._live.write(self._clock.now_ms(), figures, self._watch.trouble(), health)

    async def _next(self, every_ms: int, offset_ms: int) -> None:
        """Sleep to the next point of the UTC grid of `every_ms`, moved by `offset_ms`."""
        past_ms = (self._clock.now_ms() - offset_ms) % every_ms
        await asyncio.sleep((every_ms - past_ms) / 1000)

    async def _commits(self) -> None:
        interval_ms = self._settings.store.commit_interval
        while True:
            # Half a second after the grid: what was asked at the tick is in, and leaves at once.
            await self._next(interval_ms, COMMIT_OFFSET_MS)
            self._pipeline.cut(self._clock.now_ms())
            await self._pipeline.write()

    async def _errands(self) -> None:
        """Twice a second: the clock, the hold, the inbox."""
        while True:
            await self._next(STEP_MS, STEP_OFFSET_MS)
            step = self._clockwatch.look()
            if step is not None:
                self._hold.synced = self._clockwatch.synced
                self._pipeline.stepped(step)
                for worker in self._workers.values():
                    worker.realign()
            if self._hold.over:
                self._pipeline.release(self._hold.settle())
            served = await self._inbox.look()
            if served:
                log.info("served %d requests of the inbox", served)


async def run_collect(frame: Frame) -> None:
    """From opening to closing the ledger. Raises StoreError, ConfigError."""
    site, store = frame.settings.site, frame.settings.store
    clock = Clock()
    ledger = Ledger.open(store.path, site=site.id, gateway=site.gateway, now_ms=clock.now_ms())
    boot = Boot(ledger.next_boot_id, clock.now_ms(), version("wattledger"))
    with contextlib.closing(ledger):
        collect = Collect(frame.settings, clock, ledger, boot, str(frame.rejected or ""))
        frame.on_rejected = collect.rejected
        await collect.run(frame.stop, frame.ready)
