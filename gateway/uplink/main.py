"""Process `uplink`: from connection to connection, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import platform
import random
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from engine.errors import StoreError
from gateway.clock import Clock
from gateway.live import LiveReader
from gateway.site.settings import Settings
from gateway.store.reader import LedgerReader
from gateway.uplink import envelope
from gateway.uplink.backoff import delay_ms
from gateway.uplink.book import Book
from gateway.uplink.cursor import UplinkDb
from gateway.uplink.feed import DiskThread, Feed, RowSource
from gateway.uplink.limits import Limits
from gateway.uplink.mqtt import Broker, Link
from gateway.uplink.notice import Notice, UplinkFault
from gateway.uplink.session import Session
from gateway.uplink.window import Window

log = logging.getLogger("wattledger.uplink")
STEP_MS = 1000  # a wall clock that moved further than this is taken over


async def run_uplink(
    settings: Settings,
    *,
    stop: asyncio.Event,
    limits: Limits | None = None,
    open_source: Callable[[], RowSource] | None = None,
) -> None:
    """Deliver until `stop` is set, then say goodbye and end within about two seconds.

    Raises StoreError when uplink.db cannot be opened or another uplink holds it. The broker's troubles
    never end it.
    """
    disk = DiskThread()
    try:
        db = await disk.run(UplinkDb.open, settings.store.uplink_dir)
        source: Callable[[], RowSource] = open_source or partial(LedgerReader, settings.store.path)
        uplink = Uplink(settings, limits or Limits(), disk, db, source)
        try:
            await uplink.run(stop)
        finally:
            await uplink.close()
    finally:
        disk.close()


class Uplink:
    """What outlives a connection: the ledger's feed, the window of the epoch, the book and uplink.db."""

    def __init__(
        self,
        settings: Settings,
        limits: Limits,
        disk: DiskThread,
        db: UplinkDb,
        open_source: Callable[[], RowSource],
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._disk = disk
        self._db = db
        self._clock = Clock()
        self._broker = Broker.of(settings)
        streams = [stream for stream in settings.mqtt.streams if stream != "manifests"]
        ledger = settings.store.path / "ledger.db"
        self._feed = Feed(open_source, ledger, streams, disk)
        self._streams = streams
        self._live = LiveReader(settings.store.runtime_dir, self._clock.now_ms)
        self._book = Book(
            broker=self._broker.name, client=self._broker.client, proof=self._broker.proof,
            policy=settings.mqtt.no_subscriber, started_ms=self._clock.now_ms(),
        )  # fmt: skip
        self._window = self._new_window({})
        self._session: Session | None = None
        self._saving = True
        self._versions = {"python": platform.python_version()} | {
            name: _version(name) for name in ("wattledger", "paho-mqtt")
        }

    async def run(self, stop: asyncio.Event) -> None:
        self._book.tell(Notice("started"), self._clock.now_ms())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve(stop))
            tasks.create_task(self._keep(stop))
            tasks.create_task(self._ring(stop))

    async def close(self) -> None:
        self._book.tell(Notice("stopped"), self._clock.now_ms())
        await self._save(heartbeat=True)
        await self._feed.close()
        await self._disk.run(self._db.close)

    async def _ring(self, stop: asyncio.Event) -> None:
        await stop.wait()
        if self._session is not None:
            self._session.wake.set()

    async def _serve(self, stop: asyncio.Event) -> None:
        """One connection after the other, waiting longer while they keep failing."""
        failures = 0
        while not stop.is_set():
            await self._look()
            began_ms = self._clock.mono_ms()
            session = self._session = self._new_session()
            try:
                await self._connection(session, stop)
                failures = 0
            except UplinkFault as error:
                settled = session.moved or self._clock.mono_ms() - began_ms >= self._limits.settled_ms
                failures = 1 if settled else failures + 1
                wait_ms = delay_ms(failures, error.notice.pace, self._limits, random.random)
                self._told(error, wait_ms)
                await _first(stop, wait_ms / 1000)
            finally:
                self._session = None
                self._window.lost()

    async def _connection(self, session: Session, stop: asyncio.Event) -> None:
        link = Link(self._broker, self._limits, session.on_ack, session.wake.set)
        base = self._base
        opening = asyncio.create_task(link.open(f"{base}/status", self._status(False)))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                return
            await opening
            self._connected()
            await session.run(link, stop)
            if stop.is_set():
                await session.farewell(link)
            else:
                link.close()
            self._book.link_down(None, self._clock.now_ms(), None)
        except UplinkFault:
            link.abort()
            raise
        finally:
            opening.cancel()
            stopping.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)

    @property
    def _base(self) -> str:
        return envelope.base_topic(self._settings.site.id, self._settings.site.gateway)

    def _connected(self) -> None:
        notice = Notice("connected", {"broker": self._broker.name, "proof": self._broker.proof})
        log.info(notice.text()["en"])
        self._book.link_up(notice, self._clock.now_ms())

    def _told(self, error: UplinkFault, wait_ms: int) -> None:
        now_ms = self._clock.now_ms()
        if self._book.error is None or self._book.error.kind != error.notice.kind:
            log.warning("%s; %s", error, error.hint)
        self._book.link_down(error.notice, now_ms, now_ms + wait_ms)

    def _status(self, online: bool) -> bytes:
        return envelope.status(
            online=online, t_ms=self._clock.now_ms(), boot=(self._live.read() or {}).get("boot"),
            epoch=self._book.epoch, versions=self._versions, streams=self._feed.last, config=self._settings.digest,
            proof=self._broker.proof,
        )  # fmt: skip

    def _new_window(self, cursors: dict[str, int]) -> Window:
        accept = self._settings.mqtt.no_subscriber == "accept"
        return Window(cursors, limits=self._limits, accept_unsubscribed=accept, random=random.random)

    def _new_session(self) -> Session:
        return Session(
            base=self._base, gateway=self._settings.site.gateway,
            columns=self._settings.mqtt.readings_format == "columns", limits=self._limits, clock=self._clock,
            window=self._window, feed=self._feed, live=self._live, book=self._book, status=self._status,
        )  # fmt: skip

    async def _look(self) -> None:
        """Where the ledger is; another epoch begins with its own cursors."""
        await self._feed.look(self._clock.mono_ms(), self._limits.recheck_ms)
        epoch = self._feed.epoch
        if epoch is None or epoch == self._book.epoch:
            return
        cursors = await self._disk.run(self._db.cursors, epoch)
        self._book.begin_epoch(epoch, cursors)
        self._window = self._new_window({s: cursors[s].seq if s in cursors else 0 for s in self._streams})
        for stream, lane in self._window.lanes.items():
            lane.closed = stream in cursors and cursors[stream].closed

    async def _keep(self, stop: asyncio.Event) -> None:
        """Save what changed, about once a second; follow the ledger while there is no connection."""
        saved_ms = self._clock.mono_ms()
        while not await _first(stop, self._limits.save_ms / 1000):
            if abs(self._clock.drift_ms()) > STEP_MS:
                self._clock.resync()
            now_ms = self._clock.mono_ms()
            if not self._book.connected:
                await self._feed.look(now_ms, self._limits.recheck_ms)
            if await self._save(heartbeat=now_ms - saved_ms >= self._limits.heartbeat_ms):
                saved_ms = now_ms

    async def _save(self, *, heartbeat: bool) -> bool:
        state = self._book.state(self._window, self._feed.last, self._feed.trouble)
        changes = self._book.take(self._clock.now_ms(), state, heartbeat=heartbeat)
        if changes is None:
            return False
        try:
            await self._disk.run(self._db.save, changes)
        except StoreError as error:
            # The cursor stays where it was on disk: after a restart rows are sent twice, none is skipped.
            self._book.put_back(changes)
            if self._saving:
                log.error("%s; %s", error, error.hint)
            self._saving = False
            return False
        self._saving = True
        return True


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "checkout"  # run from its sources without being installed


async def _first(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most so long; whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        pass
    return event.is_set()
