"""The window as a machine: literals in, outcomes out, and whatever happens no row is passed over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.uplink.backoff import FLOOR_MS, delay_ms
from gateway.uplink.limits import Limits
from gateway.uplink.window import Moved, Refused, Subscribed, Unsubscribed, Want, Window

LIMITS = Limits(window=6, share=4, batch_rows_max=8, ack_timeout_ms=1000, no_subscriber_retry_ms=500)


def window(accept: bool = False, **cursors: int) -> Window:
    return Window(cursors, limits=LIMITS, accept_unsubscribed=accept, random=lambda: 0.5)


def send(w: Window, last: dict[str, int], message_id: int, now_ms: int = 0, mark: str = "") -> Want:
    want = w.want(last, now_ms)
    assert want is not None
    w.begin(want.stream, want.first + want.rows - 1, 1, mark)
    w.sent(message_id, now_ms, want.stream)
    return want


def test_the_cursor_passes_a_batch_only_when_all_before_it_are_proven() -> None:
    w = window(readings=0)
    for message_id in (1, 2, 3):
        send(w, {"readings": 100}, message_id, mark=f"m{message_id}")
    assert w.acknowledged(3, 0, 0) == []
    assert w.acknowledged(2, 0, 0) == []
    assert w.lanes["readings"].cursor == 0
    assert w.acknowledged(1, 0, 0) == [
        Moved("readings", 1, 8, False, "m1"),
        Moved("readings", 9, 16, False, "m2"),
        Moved("readings", 17, 24, False, "m3"),
    ]


def test_the_streams_take_turns_and_none_fills_the_window() -> None:
    w = window(readings=0, events=0)
    last = {"readings": 100, "events": 3}
    assert [send(w, last, n).stream for n in range(1, 6)] == ["readings", "events", *["readings"] * 3]
    assert w.want(last, 0) is None, "readings have their share, events are all sent"
    assert w.want({**last, "events": 4}, 0) == Want("events", 4, 1)


def test_a_refused_batch_is_sent_again_after_a_while_and_alone() -> None:
    w = window(readings=0)
    last = {"readings": 100}
    for message_id in (1, 2, 3):
        send(w, last, message_id)
    assert w.acknowledged(1, 0, 0) != []
    assert w.acknowledged(2, 0x97, 0) == [Refused("readings", 9, 0x97)]
    assert w.acknowledged(3, 0, 0) == [], "what came after the hole is sent again"
    assert w.want(last, 499) is None
    assert send(w, last, 4, 500) == Want("readings", 9, 8)
    assert w.want(last, 500) is None, "one at a time until it is proven"
    assert w.acknowledged(4, 0, 600) == [Moved("readings", 9, 16, False, "")]
    assert w.want(last, 600) == Want("readings", 17, 8)


def test_what_was_in_flight_with_a_refused_batch_is_no_failure_of_its_own() -> None:
    w = window(readings=0)
    for message_id in (1, 2, 3):
        send(w, {"readings": 100}, message_id)
    assert w.acknowledged(1, 0x99, 0) == [Refused("readings", 1, 0x99)]
    assert w.acknowledged(2, 0x99, 0) == w.acknowledged(3, 0x99, 0) == []
    assert w.lanes["readings"].failures == 1
    assert w.want({"readings": 100}, 1_000_000) == Want("readings", 1, 8)


def test_a_batch_that_fails_again_is_halved_down_to_one_row_and_told_as_stuck() -> None:
    w = window(readings=0)
    rows = []
    for message_id in range(1, 9):
        now_ms = message_id * 1_000_000
        rows.append(send(w, {"readings": 100}, message_id, now_ms).rows)
        w.acknowledged(message_id, 0x99, now_ms)
    assert rows == [8, 8, 4, 2, 1, 1, 1, 1]
    assert w.lanes["readings"].stuck
    assert w.lanes["readings"].cursor == 0


def test_a_refusal_that_is_not_about_the_batch_leaves_its_length() -> None:
    w = window(readings=0)
    for message_id in range(1, 5):
        assert send(w, {"readings": 100}, message_id, message_id * 1_000_000).rows == 8
        w.acknowledged(message_id, 0x87, message_id * 1_000_000)


def test_with_nobody_subscribed_it_stops_and_tries_one_batch_every_so_often() -> None:
    w = window(readings=0)
    last = {"readings": 100}
    for message_id in (1, 2, 3):
        send(w, last, message_id)
    assert w.acknowledged(1, 16, 0) == [Unsubscribed("readings")]
    assert w.acknowledged(2, 16, 0) == []
    assert w.want(last, 499) is None
    assert send(w, last, 4, 500).first == 1
    assert w.acknowledged(4, 16, 500) == []
    send(w, last, 5, 1000)
    assert w.acknowledged(5, 0, 1000) == [Subscribed("readings"), Moved("readings", 1, 8, False, "")]
    assert w.acknowledged(3, 0, 1000) == []


def test_with_accept_it_moves_and_labels_what_nobody_received() -> None:
    w = window(accept=True, readings=0)
    send(w, {"readings": 100}, 1)
    send(w, {"readings": 100}, 2)
    assert w.acknowledged(1, 16, 0) == [Unsubscribed("readings"), Moved("readings", 1, 8, True, "")]
    assert w.acknowledged(2, 0, 0) == [Subscribed("readings"), Moved("readings", 9, 16, False, "")]


def test_rows_in_several_messages_are_proven_by_all_of_them() -> None:
    w = window(readings=0)
    w.begin("readings", 8, 3)
    w.sent(1, 0, "readings")
    assert w.want({"readings": 100}, 0) == Want("readings", 9, 0), "first the messages that are begun"
    w.sent(2, 0, "readings")
    assert w.acknowledged(1, 0, 0) == w.acknowledged(2, 0, 0) == []
    w.sent(3, 0, "readings")
    assert w.acknowledged(3, 0, 0) == [Moved("readings", 1, 8, False, "")]


def test_a_lost_connection_begins_again_after_the_cursor() -> None:
    w = window(readings=0)
    for message_id in (1, 2, 3):
        send(w, {"readings": 100}, message_id)
    w.acknowledged(1, 0, 0)
    w.lost()
    assert w.in_flight == 0
    assert w.acknowledged(2, 0, 0) == [], "an acknowledgement of the old connection proves nothing now"
    assert w.want({"readings": 100}, 0) == Want("readings", 9, 8)


def test_the_oldest_message_tells_when_an_acknowledgement_is_overdue() -> None:
    w = window(readings=0)
    w.sent(1, 0)
    send(w, {"readings": 100}, 2, 900)
    assert not w.overdue(999)
    assert w.overdue(1000)
    w.acknowledged(1, 0, 1000)
    assert not w.overdue(1000)


def test_the_broker_may_allow_less_than_our_window() -> None:
    w = window(readings=0)
    w.connected(1)
    send(w, {"readings": 100}, 1)
    assert w.want({"readings": 100}, 0) is None
    w.connected(65_535)
    assert w.room() == LIMITS.window - 1


@pytest.mark.parametrize(("pace", "cap"), [("quick", 60_000), ("slow", 300_000)])
def test_the_wait_is_full_jitter_below_a_doubling_ceiling(pace: Any, cap: int) -> None:
    limits = Limits()
    ceilings = [delay_ms(n, pace, limits, lambda: 0.999999) for n in range(1, 12)]
    assert ceilings == sorted(ceilings)
    assert ceilings[1] in range(2 * ceilings[0] - 2, 2 * ceilings[0] + 3)
    assert cap - 2 <= ceilings[-1] <= cap
    assert delay_ms(5, pace, limits, lambda: 0.0) == FLOOR_MS


class AnyBroker(RuleBasedStateMachine):
    """A broker that does anything in any order, and a receiver that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.w = window(readings=0, events=0)
        self.last = {"readings": 0, "events": 0}
        self.received: dict[str, set[int]] = {"readings": set(), "events": set()}
        self.flying: dict[int, tuple[str, range]] = {}
        self.now_ms = 0
        self.next_id = 1
        self.was = {"readings": 0, "events": 0}

    @rule(stream=st.sampled_from(["readings", "events"]), rows=st.integers(1, 30))
    def commit(self, stream: str, rows: int) -> None:
        self.last[stream] += rows

    @rule()
    def send_one(self) -> None:
        want = self.w.want(self.last, self.now_ms)
        if want is None:
            return
        assert want.first > self.w.lanes[want.stream].cursor
        self.w.begin(want.stream, want.first + want.rows - 1, 1)
        self.w.sent(self.next_id, self.now_ms, want.stream)
        self.flying[self.next_id] = (want.stream, range(want.first, want.first + want.rows))
        self.next_id += 1

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), code=st.sampled_from([0, 0, 0, 16, 0x87, 0x97, 0x99]))
    def acknowledge(self, data: st.DataObject, code: int) -> None:
        message_id = data.draw(st.sampled_from(sorted(self.flying)))
        stream, rows = self.flying.pop(message_id)
        if code == 0:
            self.received[stream].update(rows)
        self.w.acknowledged(message_id, code, self.now_ms)

    @rule()
    def lose_the_connection(self) -> None:
        self.flying.clear()
        self.w.lost()

    @rule(ms=st.integers(1, 400_000))
    def wait(self, ms: int) -> None:
        self.now_ms += ms

    @invariant()
    def nothing_is_passed_over(self) -> None:
        for stream, lane in self.w.lanes.items():
            assert lane.cursor >= self.was[stream], "a cursor never goes back"
            assert set(range(self.was[stream] + 1, lane.cursor + 1)) <= self.received[stream]
            self.was[stream] = lane.cursor
        assert self.w.in_flight == len(self.flying) <= LIMITS.window

    def teardown(self) -> None:
        """A broker that behaves from now on gets the rest."""
        self.lose_the_connection()
        for _ in range(2000):
            if all(self.w.lanes[s].cursor == last for s, last in self.last.items()):
                break
            self.now_ms += 400_000
            self.send_one()
            for message_id in list(self.flying):
                stream, rows = self.flying.pop(message_id)
                self.received[stream].update(rows)
                self.w.acknowledged(message_id, 0, self.now_ms)
        self.nothing_is_passed_over()
        assert {s: lane.cursor for s, lane in self.w.lanes.items()} == self.last


AnyBroker.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyBroker = AnyBroker.TestCase
