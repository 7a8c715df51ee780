"""LiveHub: one look at the live file for all who watch, and to each watcher only what is new to it.

State, not history: a watcher that was slow or away gets the newest payload of every meter that changed
since its version, so nothing queues up and a reconnect (Last-Event-ID) continues where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from gateway.store.rows import Row
from gateway.timespan import utc_text
from gateway.web.sources import Live

LOOK_S = 0.2
STATUS_EVERY = 5  # looks


class LiveHub:
    """Versions of the live payloads and of the status, and the SSE frames between two versions.

    `status` builds the status document; `birth` tells one run of the server from the next.
    """

    def __init__(self, live: Live, status: Callable[[], Awaitable[Row]], birth: str) -> None:
        self._live = live
        self._status = status
        self._birth = birth
        self._watchers = 0
        self._version = 0
        self._changed = asyncio.Event()
        self._seen: Row | None = None
        self._meters: dict[str, tuple[int, Row]] = {}
        self._head: Row = {}
        self._live_version = 0
        self._status_body: Row = {}
        self._status_version = 0
        self._last: tuple[int, int, bytes] = (-1, -1, b"")

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`; while nobody watches, nothing is read."""
        looks = 0
        while not stop.is_set():
            if self._watchers:
                await self.look(with_status=looks % STATUS_EVERY == 0)
                looks += 1
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                continue
        self._wake()

    async def look(self, *, with_status: bool) -> None:
        """Take over what is new and wake those who wait."""
        before = self._version
        body = self._live.read()
        if body is not None and body is not self._seen:
            self._take_live(body)
        if with_status:
            status = await self._status()
            if _lasting(status) != _lasting(self._status_body):
                self._status_body = status
                self._version += 1
                self._status_version = self._version
        if self._version != before:
            self._wake()

    async def join(self) -> None:
        """One more watcher; after this, frames since version 0 are complete."""
        self._watchers += 1
        await self.look(with_status=True)

    def leave(self) -> None:
        self._watchers -= 1

    async def changed(self, version: int, timeout_s: float) -> bool:
        """Wait until something newer than `version` is there; False after `timeout_s` without."""
        if self._version > version:
            return True
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def frames(self, version: int) -> tuple[int, bytes]:
        """The version now, and the SSE frames that lead to it from `version` (0 = from nothing)."""
        since, upto, made = self._last
        if (since, upto) != (version, self._version):
            made = self._frames(version)
            self._last = (version, self._version, made)
        return self._version, made

    def beat(self, now_ms: int) -> bytes:
        """The heartbeat: the server's time, and how old the live file is."""
        return _frame("beat", {"t": utc_text(now_ms), "age_ms": self._live.age_ms()})

    def version_of(self, last_event_id: str) -> int:
        """The version a returning watcher has; 0 if it watched another run of the server."""
        birth, _, version = last_event_id.rpartition(".")
        if birth != self._birth or not version.isascii() or not version.isdigit():
            return 0
        return min(int(version), self._version)

    def _take_live(self, body: Row) -> None:
        self._seen = body
        self._version += 1
        self._live_version = self._version
        meters: dict[str, Row] = body.get("meters", {})
        for meter, payload in meters.items():
            if meter not in self._meters or self._meters[meter][1] != payload:
                self._meters[meter] = (self._version, payload)
        for gone in self._meters.keys() - meters.keys():
            del self._meters[gone]
        self._head = {key: value for key, value in body.items() if key != "meters"}

    def _frames(self, since: int) -> bytes:
        parts = []
        if self._status_version > since:
            parts.append(_frame("status", self._status_body))
        if self._live_version > since:
            news = {meter: payload for meter, (version, payload) in self._meters.items() if version > since}
            parts.append(_frame("live", {**self._head, "meters": news}))
        if parts:
            # Only the last frame carries the id: who lost it has not seen them all.
            parts[-1] = b"id: %s.%d\n%s" % (self._birth.encode(), self._version, parts[-1])
        return b"".join(parts)

    def _wake(self) -> None:
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()


def _lasting(status: Row) -> Row:
    """The status without what changes at every look."""
    return {key: value for key, value in status.items() if key not in ("t", "collect")} | {
        "collect": status.get("collect", {}).get("state")
    }


def _frame(event: str, body: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), orjson.dumps(body))
