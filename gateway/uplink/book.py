"""What the uplink writes down: cursors, hourly counts, notices, the state for people. No I/O, no clock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gateway.uplink.cursor import Changes, Count, Cursor
from gateway.uplink.notice import Notice
from gateway.uplink.window import Moved, Outcome, Refused, Subscribed, Unsubscribed, Window

HOUR_MS = 3_600_000
_REASONS = {
    0x80: "unspecified error", 0x83: "implementation specific error", 0x87: "not authorised",
    0x90: "topic name invalid", 0x91: "packet identifier in use", 0x97: "quota exceeded",
    0x99: "payload format invalid",
}  # fmt: skip


class Book:
    """Collects until `take`; what could not be saved comes back by `put_back` and is saved with the next."""

    def __init__(self, *, broker: str, client: str, proof: str, policy: str, started_ms: int) -> None:
        self._words = {"broker": broker, "client": client}
        self._fixed = {"broker": broker, "proof": proof, "no_subscriber": policy, "started_ms": started_ms}
        self.epoch: int | None = None
        self.cursors: dict[str, Cursor] = {}
        self.connected = False
        self.since_ms = started_ms
        self.next_attempt_ms: int | None = None
        self.error: Notice | None = None
        self.stream_errors: dict[str, Notice] = {}
        self._changes = Changes(started_ms)
        self._saved_state: Mapping[str, Any] = {}

    def tell(self, notice: Notice, t_ms: int) -> None:
        """Keep a notice as an event of the uplink."""
        self._changes.notices.append((t_ms, notice))

    def link_up(self, notice: Notice, t_ms: int) -> None:
        self.connected, self.since_ms, self.error, self.next_attempt_ms = True, t_ms, None, None
        self.tell(notice, t_ms)

    def link_down(self, error: Notice | None, t_ms: int, next_attempt_ms: int | None) -> None:
        """The connection ended or could not be made; the same trouble again is not told again."""
        if error is not None and (self.connected or self.error is None or self.error.kind != error.kind):
            self.tell(error, t_ms)
        if self.connected:
            self.connected, self.since_ms = False, t_ms
        self.error, self.next_attempt_ms = error, next_attempt_ms

    def stream_error(self, stream: str, notice: Notice | None, t_ms: int) -> None:
        before = self.stream_errors.pop(stream, None)
        if notice is not None:
            self.stream_errors[stream] = notice
            if before is None or before.kind != notice.kind:
                self.tell(notice, t_ms)

    def enter(self, outcomes: list[Outcome], t_ms: int) -> None:
        """What acknowledgements came to."""
        for outcome in outcomes:
            match outcome:
                case Moved(stream, first, last, accepted, mark):
                    rows = last - first + 1
                    self.move(stream, Cursor(last, mark, closed=False))
                    self.count(stream, Count(0, 0, rows) if accepted else Count(0, rows, 0), t_ms)
                    self.stream_error(stream, None, t_ms)
                case Refused(stream, first, code):
                    reason = f"{_REASONS.get(code, 'reason code')} (0x{code:02x})"
                    words = {"stream": stream, "first": first, "reason": reason, **self._words}
                    self.stream_error(stream, Notice("publish_refused", words), t_ms)
                case Unsubscribed(stream) if self._fixed["no_subscriber"] == "wait":
                    self.stream_error(stream, Notice("no_subscriber", {"stream": stream}), t_ms)
                case Unsubscribed():
                    continue  # policy `accept`: the state says so, it is no trouble
                case Subscribed(stream):
                    self.stream_error(stream, None, t_ms)
                    self.tell(Notice("subscribed", {"stream": stream}), t_ms)

    def begin_epoch(self, epoch: int, cursors: Mapping[str, Cursor]) -> None:
        """From here on cursors belong to `epoch`."""
        self.epoch = epoch
        self.cursors = dict(cursors)
        self.stream_errors = {}

    def move(self, stream: str, cursor: Cursor) -> None:
        """Only within an epoch: without a ledger there is nothing to deliver."""
        assert self.epoch is not None
        self.cursors[stream] = self._changes.cursors[self.epoch, stream] = cursor

    def count(self, stream: str, rows: Count, t_ms: int) -> None:
        key = (t_ms // HOUR_MS * HOUR_MS, stream)
        self._changes.counts[key] = self._changes.counts.get(key, Count()).plus(rows)

    def state(self, window: Window, last: Mapping[str, int], ledger: Notice | None) -> dict[str, Any]:
        """Everything that status and page show, JSON-ready."""
        troubles = [n for n in (self.error, ledger, *self.stream_errors.values()) if n is not None]
        return {
            "v": 1, "pid": os.getpid(), **self._fixed, "connected": self.connected, "since_ms": self.since_ms,
            "next_attempt_ms": self.next_attempt_ms, "epoch": self.epoch,
            "streams": {
                stream: {
                    "last_seq": last.get(stream, 0),
                    "cursor": lane.cursor,
                    "waiting": max(0, last.get(stream, 0) - lane.cursor),
                    "no_subscriber": lane.unsubscribed,
                    "stuck": lane.stuck,
                    "history_differs": lane.closed,
                }
                for stream, lane in window.lanes.items()
            },
            "error": troubles[0].json() if troubles else None,
            "notices": [notice.json() for notice in troubles],
        }  # fmt: skip

    def take(self, t_ms: int, state: Mapping[str, Any], *, heartbeat: bool) -> Changes | None:
        """What is to be saved now; None while nothing changed."""
        changes = self._changes
        new = changes.cursors or changes.counts or changes.notices or state != self._saved_state
        if not (new or heartbeat):
            return None
        self._changes = Changes(t_ms)
        self._saved_state = state
        changes.t_ms, changes.state = t_ms, state
        return changes

    def put_back(self, changes: Changes) -> None:
        """A save failed: its contents go with the next one."""
        newer, self._changes = self._changes, changes
        self._saved_state = {}
        changes.cursors.update(newer.cursors)
        changes.notices.extend(newer.notices)
        for key, rows in newer.counts.items():
            changes.counts[key] = changes.counts.get(key, Count()).plus(rows)
