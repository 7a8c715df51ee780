"""The window: what is in flight, and how far each stream is proven. No clock, no socket.

Theory. A *lane* is one stream of one epoch. Its cursor is the highest seq up to which every row is
proven received; only an acknowledgement moves it. A *flight* is a range of rows on the wire in one or
more messages. Acknowledgements may come in any order; the cursor passes a flight only when that one and
all before it are proven. Whatever goes wrong (refusal, lost connection, overdue acknowledgement), the
lane rewinds: it forgets its flights and begins again after its cursor. So rows may be sent twice, never
skipped; receivers drop duplicates by seq.

After a failure a lane *probes*: one flight at a time until one is proven. From the second failure in a
row on, what the broker may dislike about the batch itself makes it half as long, down to one row.
Nothing is ever set aside: a row that the broker never takes stops its lane, visibly.

    open ──refused/lost──▶ held until t ──t──▶ probing ──proof──▶ open
                                ▲                 └──refused/lost──┘
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.uplink.backoff import Pace, delay_ms
from gateway.uplink.limits import Limits

PROOF = 0x00
NO_SUBSCRIBER = 0x10
GROW_AFTER = 8  # proven flights after which a shortened batch may be twice as long
# Refusals that may be about this very batch: unspecified, implementation specific, payload format.
_ABOUT_THE_BATCH = {0x80, 0x83, 0x99}
# Refusals that only a human ends: not authorised, topic name invalid.
_HUMAN = {0x87, 0x90}


class Moved(NamedTuple):
    """Rows `first`..`last` are done; `accepted`: the broker took them, but nobody subscribes (policy)."""

    stream: str
    first: int
    last: int
    accepted: bool
    mark: str


class Refused(NamedTuple):
    stream: str
    first: int
    code: int


class Unsubscribed(NamedTuple):
    """The broker says that nobody subscribes to the stream; told once until somebody does."""

    stream: str


class Subscribed(NamedTuple):
    stream: str


Outcome = Moved | Refused | Unsubscribed | Subscribed


class Want(NamedTuple):
    """Send this next: at most `rows` rows from `first`, or with `rows` 0 the next message of its flight."""

    stream: str
    first: int
    rows: int


@dataclass(slots=True, eq=False)
class Flight:
    """Rows on the wire. `unproven` messages are still to be acknowledged; `stale`: its lane has rewound.

    `mark` is the caller's and comes back with `Moved`.
    """

    stream: str
    first: int
    last: int
    unproven: int
    mark: str
    accepted: bool = False
    stale: bool = False


@dataclass(slots=True)
class Lane:
    cursor: int
    next: int
    rows_max: int
    flights: deque[Flight] = field(default_factory=deque)
    unsent: int = 0  # messages of the newest flight that have not gone out yet
    failures: int = 0
    proven: int = 0  # flights in a row since the length last changed
    probing: bool = False
    hold_until_ms: int | None = None
    unsubscribed: bool = False
    closed: bool = False  # the ledger's history is not the one that was delivered

    @property
    def stuck(self) -> bool:
        """A single row fails again and again."""
        return self.rows_max == 1 and self.failures >= 5


class Window:
    """`cursors`: proven seq per stream. Times are monotonic ms, given by the caller."""

    def __init__(
        self,
        cursors: Mapping[str, int],
        *,
        limits: Limits,
        accept_unsubscribed: bool,
        random: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._accept = accept_unsubscribed
        self._random = random
        self._size = limits.window
        self._sent: dict[int, tuple[Flight | None, int]] = {}  # message id → flight and when, oldest first
        self.lanes = {
            stream: Lane(cursor, cursor + 1, limits.batch_rows_max) for stream, cursor in cursors.items()
        }
        self._turn = deque(self.lanes)

    @property
    def in_flight(self) -> int:
        return len(self._sent)

    def connected(self, receive_maximum: int) -> None:
        """A fresh connection; the broker takes at most `receive_maximum` messages at once."""
        self._size = max(1, min(self._limits.window, receive_maximum))

    def room(self) -> int:
        """Messages that may still go out now."""
        return self._size - len(self._sent)

    def want(self, last: Mapping[str, int], now_ms: int) -> Want | None:
        """The next rows to send, the streams taking turns; `last` is the ledger's last seq per stream."""
        for _ in range(len(self._turn)):
            stream = self._turn[0]
            self._turn.rotate(-1)
            lane = self.lanes[stream]
            if self._may_send(stream, lane, now_ms):
                if lane.unsent:
                    return Want(stream, lane.next, 0)
                if lane.next <= last.get(stream, 0):
                    return Want(stream, lane.next, min(lane.rows_max, last[stream] - lane.next + 1))
        return None

    def _may_send(self, stream: str, lane: Lane, now_ms: int) -> bool:
        held = lane.hold_until_ms is not None and now_ms < lane.hold_until_ms
        if lane.closed or held or (lane.probing and lane.flights and not lane.unsent):
            return False
        mine = sum(1 for flight, _ in self._sent.values() if flight is not None and flight.stream == stream)
        share = self._size if len(self.lanes) == 1 else max(1, min(self._limits.share, self._size - 1))
        return self.room() > 0 and mine < share

    def begin(self, stream: str, last: int, messages: int, mark: str = "") -> None:
        """Rows from the lane's next up to `last` will go out in that many messages."""
        lane = self.lanes[stream]
        lane.flights.append(Flight(stream, lane.next, last, messages, mark))
        lane.next = last + 1
        lane.unsent = messages

    def sent(self, message_id: int, now_ms: int, stream: str | None = None) -> None:
        """A message went out: the next one of the stream's newest flight, or one without rows (status)."""
        flight = None
        if stream is not None:
            lane = self.lanes[stream]
            lane.unsent -= 1
            flight = lane.flights[-1]
        self._sent[message_id] = (flight, now_ms)

    def waits_for(self, message_id: int) -> bool:
        return message_id in self._sent

    def overdue(self, now_ms: int) -> bool:
        """Whether the oldest message waits for its acknowledgement for too long."""
        oldest = next(iter(self._sent.values()), None)
        return oldest is not None and now_ms - oldest[1] >= self._limits.ack_timeout_ms

    def acknowledged(self, message_id: int, code: int, now_ms: int) -> list[Outcome]:
        """The broker's answer to one message: MQTT 5 reason code of the PUBACK."""
        flight, _ = self._sent.pop(message_id, (None, 0))
        if flight is None or flight.stale:
            return []
        lane = self.lanes[flight.stream]
        if code == PROOF or (code == NO_SUBSCRIBER and self._accept):
            flight.unproven -= 1
            flight.accepted |= code == NO_SUBSCRIBER
            return self._subscription(flight.stream, lane, code) + self._advance(flight.stream, lane)
        return self._refuse(flight, lane, code, now_ms)

    def _subscription(self, stream: str, lane: Lane, code: int) -> list[Outcome]:
        unsubscribed = code == NO_SUBSCRIBER
        if unsubscribed == lane.unsubscribed:
            return []
        lane.unsubscribed = unsubscribed
        return [Unsubscribed(stream) if unsubscribed else Subscribed(stream)]

    def _advance(self, stream: str, lane: Lane) -> list[Outcome]:
        moved: list[Outcome] = []
        while lane.flights and not lane.flights[0].unproven:
            flight = lane.flights.popleft()
            lane.cursor = flight.last
            moved.append(Moved(stream, flight.first, flight.last, flight.accepted, flight.mark))
        if moved:
            lane.failures = 0
            lane.probing = False
            lane.hold_until_ms = None
            self._grow(lane, len(moved))
        return moved

    def _grow(self, lane: Lane, flights: int) -> None:
        """Not at once, or every other batch would again be one that the broker refuses."""
        lane.proven += flights
        if lane.proven >= GROW_AFTER:
            lane.proven = 0
            lane.rows_max = min(lane.rows_max * 2, self._limits.batch_rows_max)

    def _refuse(self, flight: Flight, lane: Lane, code: int, now_ms: int) -> list[Outcome]:
        stream, first = flight.stream, lane.cursor + 1
        if code == NO_SUBSCRIBER:
            self._rewind(lane)
            lane.hold_until_ms = now_ms + self._limits.no_subscriber_retry_ms
            return self._subscription(stream, lane, code)
        self._fail(lane, halve=code in _ABOUT_THE_BATCH)
        pace: Pace = "slow" if code in _HUMAN else "quick"
        lane.hold_until_ms = now_ms + delay_ms(lane.failures, pace, self._limits, self._random)
        return [Refused(stream, first, code)]

    def lost(self) -> None:
        """The connection is gone and all that was in flight with it."""
        for lane in self.lanes.values():
            if lane.flights:
                self._fail(lane, halve=True)
        self._sent.clear()

    def hold(self, stream: str, until_ms: int) -> None:
        """Leave the stream alone for a while: the ledger could not give its rows."""
        self.lanes[stream].hold_until_ms = until_ms

    def _fail(self, lane: Lane, *, halve: bool) -> None:
        lane.failures += 1
        lane.proven = 0
        if halve and lane.failures >= 2:
            head = lane.flights[0]
            lane.rows_max = max(1, min(lane.rows_max, head.last - head.first + 1) // 2)
        self._rewind(lane)

    def _rewind(self, lane: Lane) -> None:
        for flight in lane.flights:
            flight.stale = True
        lane.flights.clear()
        lane.unsent = 0
        lane.next = lane.cursor + 1
        lane.probing = True
