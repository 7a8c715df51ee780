"""The work on one connection: live values first, then batches as the window allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.clock import Clock
from gateway.live import LiveReader
from gateway.uplink import envelope
from gateway.uplink.book import Book
from gateway.uplink.cursor import Count
from gateway.uplink.feed import Feed
from gateway.uplink.history import History
from gateway.uplink.limits import Limits
from gateway.uplink.mqtt import Link
from gateway.uplink.notice import Notice, fault
from gateway.uplink.window import Moved, Want, Window

_PACKET_OVERHEAD = 16  # fixed header, topic length, packet id, properties length: at most
_STATUS = "status"


class Session:
    """`run` ends when told to stop or when the ledger begins another epoch; it raises when the link fails.

    While there is no ledger yet, `window` has no lanes: only status and live values go out.
    """

    def __init__(
        self,
        *,
        base: str,
        gateway: str,
        columns: bool,
        limits: Limits,
        clock: Clock,
        window: Window,
        feed: Feed,
        live: LiveReader,
        book: Book,
        status: Callable[[bool], bytes],
    ) -> None:
        self.wake = asyncio.Event()
        self.moved = False  # whether this connection has proven anything
        self._base = base
        self._gateway = gateway
        self._columns = columns
        self._limits = limits
        self._clock = clock
        self._window = window
        self._feed = feed
        self._live = live
        self._book = book
        self._status = status
        self._history = History(window, feed, book, clock)
        self._epoch = feed.epoch
        self._parts: dict[str, deque[bytes]] = {}
        self._live_sent: dict[str, Any] = {}
        self._live_seen: Any = None
        self._live_boot: Any = None
        self._live_due_ms = self._misc_due_ms = self._status_due_ms = 0
        self._told: dict[str, int] = {}

    def on_ack(self, message_id: int, code: int) -> None:
        outcomes = self._window.acknowledged(message_id, code, self._clock.mono_ms())
        if outcomes:
            self.moved = self.moved or any(isinstance(outcome, Moved) for outcome in outcomes)
            self._book.enter(outcomes, self._clock.now_ms())
        self.wake.set()

    async def run(self, link: Link, stop: asyncio.Event) -> None:
        """Raises UplinkFault when the connection is lost or an acknowledgement is overdue."""
        self._window.connected(link.receive_maximum)
        await self._history.verify()
        while not stop.is_set() and self._feed.epoch == self._epoch:
            self.wake.clear()
            now_ms = self._clock.mono_ms()
            if link.failed is not None:
                raise link.failed
            if now_ms >= self._misc_due_ms:
                self._misc_due_ms = now_ms + self._limits.misc_ms
                if self._window.overdue(now_ms):
                    seconds = self._limits.ack_timeout_ms / 1000
                    raise fault("ack_timeout", broker=link.broker.name, seconds=seconds)
                link.misc()
            self._send_live(link, now_ms)
            moved = await self._feed.look(now_ms, self._limits.recheck_ms)
            if self._feed.epoch != self._epoch:
                return  # rows of a new history never leave under the old epoch
            if moved:
                await self._history.verify()
            self._send_status(link, now_ms)
            await self._send_batches(link)
            await self._pause()

    async def farewell(self, link: Link) -> None:
        """A clean stop: the status says offline, and the broker is not to send the will."""
        if link.failed is None:
            last = link.publish(f"{self._base}/{_STATUS}", self._status(False), qos=1, retain=True)
            self._window.sent(last, self._clock.mono_ms())
            until_ms = self._clock.mono_ms() + self._limits.farewell_ms
            while self._window.waits_for(last) and link.failed is None and self._clock.mono_ms() < until_ms:
                self.wake.clear()
                await self._pause()
        link.close()

    async def _pause(self) -> None:
        timer = asyncio.get_running_loop().call_later(self._limits.poll_ms / 1000, self.wake.set)
        await self.wake.wait()
        timer.cancel()

    def _send_status(self, link: Link, now_ms: int) -> None:
        told = self._told == self._feed.last and self._live_boot == self._boot()
        first = not self._status_due_ms
        if first or (not told and now_ms >= self._status_due_ms):
            self._status_due_ms = now_ms + self._limits.status_ms
            self._told, self._live_boot = dict(self._feed.last), self._boot()
            message_id = link.publish(f"{self._base}/{_STATUS}", self._status(True), qos=1, retain=True)
            self._window.sent(message_id, now_ms)

    def _boot(self) -> Any:
        return (self._live.read() or {}).get("boot")

    def _send_live(self, link: Link, now_ms: int) -> None:
        """Only what changed, and only when nothing waits for the socket: what is skipped is overtaken."""
        if now_ms < self._live_due_ms or link.busy:
            return
        self._live_due_ms = now_ms + self._limits.poll_ms
        body = self._live.read()
        if body is None or body is self._live_seen:
            return
        self._live_seen = body
        for meter, payload in body["meters"].items():
            if payload != self._live_sent.get(meter):
                self._live_sent[meter] = payload
                message = envelope.live(payload)
                if len(message) + len(self._base) + len(meter) + _PACKET_OVERHEAD < link.packet_bytes_max:
                    link.publish(f"{self._base}/live/{meter}", message, qos=0)

    async def _send_batches(self, link: Link) -> None:
        while link.failed is None and not link.busy:
            now_ms = self._clock.mono_ms()
            self._send_live(link, now_ms)
            want = self._window.want(self._feed.last, now_ms)
            if want is None:
                return
            if want.rows and not await self._begin(link, want):
                continue
            lane = self._window.lanes[want.stream]
            if link.failed is None and lane.unsent:
                payload = self._parts[want.stream].popleft()
                message_id = link.publish(f"{self._base}/{want.stream}", payload, qos=1)
                self._window.sent(message_id, now_ms, want.stream)

    async def _begin(self, link: Link, want: Want) -> bool:
        """Read the wanted rows and cut them into messages. False: nothing to send of this stream now."""
        rows = await self._feed.take(want.stream, want.first, want.rows)
        lane, now_ms = self._window.lanes[want.stream], self._clock.mono_ms()
        if lane.next != want.first or link.failed is not None:  # it was refused or lost meanwhile
            return False
        if not rows:
            self._window.hold(want.stream, now_ms + self._limits.recheck_ms)
            return False
        packet_max = link.packet_bytes_max - len(self._base) - len(want.stream) - _PACKET_OVERHEAD
        cut = self._cut(want.stream, rows, min(self._limits.batch_bytes_max, packet_max))
        if not cut.payloads:  # a single row above our own limit still goes if the broker takes it
            cut = self._cut(want.stream, rows[:1], packet_max)
        if not cut.payloads:
            words = {"stream": want.stream, "first": want.first, "bytes": packet_max}
            notice = Notice("too_large", {**words, "broker": link.broker.name})
            self._book.stream_error(want.stream, notice, self._clock.now_ms())
            self._window.hold(want.stream, now_ms + self._limits.no_subscriber_retry_ms)
            return False
        count = cut.last - want.first + 1
        self._window.begin(want.stream, cut.last, len(cut.payloads), envelope.anchor(rows[count - 1]))
        self._parts[want.stream] = deque(cut.payloads)
        self._book.count(want.stream, Count(published=count), self._clock.now_ms())
        return True

    def _cut(self, stream: str, rows: list[envelope.Row], bytes_max: int) -> envelope.Cut:
        head = envelope.Head(self._gateway, self._epoch or 0, stream)
        sent_ms = self._clock.now_ms()
        if self._columns and stream == "readings":
            return envelope.cut_columns(rows, head, sent_ms, bytes_max)
        return envelope.cut_objects(rows, head, sent_ms, bytes_max)
