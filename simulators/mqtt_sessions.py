"""What the demo broker remembers: subscriptions, retained messages, and what each session still owes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from simulators.mqtt_packets import Publish

QUEUE_MAX = 100_000
NO_LOCAL, AS_PUBLISHED = 0x04, 0x08


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic filter with + and # covers a topic; a leading wildcard does not cover $-topics."""
    want, have = pattern.split("/"), topic.split("/")
    if have[0].startswith("$") and want[0] in ("+", "#"):
        return False
    for n, level in enumerate(want):
        if level == "#":
            return True
        if n >= len(have) or level not in ("+", have[n]):
            return False
    return len(want) == len(have)


def valid_filter(pattern: str) -> bool:
    levels = pattern.split("/")
    return bool(pattern) and all(
        ("#" not in level or (level == "#" and n == len(levels) - 1)) and ("+" not in level or level == "+")
        for n, level in enumerate(levels)
    )


@dataclass(eq=False)
class Session:
    """One client's subscriptions and the QoS 1 messages it has not acknowledged."""

    client: str
    subscriptions: dict[str, int] = field(default_factory=dict)  # filter → options byte
    waiting: deque[Publish] = field(default_factory=deque)
    unacknowledged: dict[int, Publish] = field(default_factory=dict)
    send: Callable[[Publish], None] | None = None  # None while the client is away
    receive_maximum: int = 65_535
    expires_s: int = 0
    last_id: int = 0

    def subscribed(self, topic: str) -> int | None:
        """Options of the best subscription that covers the topic."""
        found = [options for pattern, options in self.subscriptions.items() if matches(pattern, topic)]
        return max(found, key=lambda options: options & 3) if found else None

    def offer(self, message: Publish) -> None:
        """Send or keep a message that is already at the subscription's QoS."""
        if not message.qos:
            if self.send is not None:
                self.send(message)
        elif len(self.waiting) < QUEUE_MAX:
            self.waiting.append(message)
            self.flush()

    def flush(self) -> None:
        while self.send is not None and self.waiting and len(self.unacknowledged) < self.receive_maximum:
            message = replace(self.waiting.popleft(), packet_id=self._next_id())
            self.unacknowledged[message.packet_id] = message
            self.send(message)

    def acknowledged(self, packet_id: int) -> None:
        self.unacknowledged.pop(packet_id, None)
        self.flush()

    def resume(self, send: Callable[[Publish], None], receive_maximum: int) -> None:
        """The client is here: first again what it has not acknowledged, in order, then the rest."""
        self.send, self.receive_maximum = send, receive_maximum
        for message in self.unacknowledged.values():
            send(replace(message, dup=True))
        self.flush()

    def _next_id(self) -> int:
        while True:
            self.last_id = self.last_id % 65_535 + 1
            if self.last_id not in self.unacknowledged:
                return self.last_id


class Sessions:
    """All sessions and retained messages."""

    def __init__(self) -> None:
        self.by_client: dict[str, Session] = {}
        self.retained: dict[str, Publish] = {}

    def open(self, client: str, *, clean: bool) -> tuple[Session, bool]:
        """The client's session, and whether it was there before."""
        if clean:
            self.by_client.pop(client, None)
        present = client in self.by_client
        return self.by_client.setdefault(client, Session(client)), present

    def leave(self, session: Session) -> None:
        session.send = None
        if not session.expires_s and self.by_client.get(session.client) is session:
            del self.by_client[session.client]

    def publish(self, message: Publish, sender: str) -> int:
        """Hand a message to every session that wants it; how many there are."""
        if message.retain:
            if message.payload:
                self.retained[message.topic] = replace(message, packet_id=0, dup=False)
            else:
                self.retained.pop(message.topic, None)
        count = 0
        for session in list(self.by_client.values()):
            options = session.subscribed(message.topic)
            if options is None or (options & NO_LOCAL and session.client == sender):
                continue
            count += 1
            retain = message.retain and bool(options & AS_PUBLISHED)
            session.offer(replace(message, qos=min(message.qos, options & 3), retain=retain, dup=False))
        return count

    def subscribe(self, session: Session, pattern: str, options: int) -> None:
        new = pattern not in session.subscriptions
        session.subscriptions[pattern] = options
        handling = options >> 4 & 3
        if handling == 2 or (handling == 1 and not new):
            return
        for message in self.retained.values():
            if matches(pattern, message.topic):
                session.offer(replace(message, qos=min(message.qos, options & 3)))
