"""What is written down: nothing twice, nothing lost when a save fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import NoAck, NotAuthorised, Unreachable
from gateway.uplink.account import read_cursors, read_events, read_hours
from gateway.uplink.book import HOUR_MS, Book
from gateway.uplink.cursor import Count, Cursor, UplinkDb
from gateway.uplink.notice import Notice, fault
from gateway.uplink.window import Moved, Refused, Subscribed, Unsubscribed


def book(policy: str = "wait") -> Book:
    made = Book(broker="mqtt://b:1883", client="c", proof="puback-5", policy=policy, started_ms=0)
    made.begin_epoch(5, {})
    return made


def state(of: Book) -> dict[str, Any]:
    return {"connected": of.connected}


def test_rows_are_counted_in_the_hour_in_which_they_were_proven(tmp_path: Path) -> None:
    b = book()
    b.count("events", Count(published=9), HOUR_MS - 1)
    b.enter([Moved("events", 1, 4, False, "m")], HOUR_MS - 1)
    b.enter([Moved("events", 5, 9, False, "n")], HOUR_MS)
    changes = b.take(HOUR_MS, state(b), heartbeat=False)
    assert changes is not None
    db = UplinkDb.open(tmp_path)
    db.save(changes)
    db.close()
    assert [tuple(hour.values()) for hour in read_hours(tmp_path, 0, 2 * HOUR_MS)] == [
        (0, "events", 9, 4, 0), (HOUR_MS, "events", 0, 5, 0),
    ]  # fmt: skip
    assert read_cursors(tmp_path, 5) == {"events": Cursor(9, "n", False)}


def test_what_could_not_be_saved_is_saved_with_the_next_and_under_its_own_epoch() -> None:
    b = book()
    b.enter([Moved("events", 1, 4, False, "m")], 1)
    failed = b.take(2, state(b), heartbeat=False)
    assert failed is not None
    b.begin_epoch(6, {})
    b.enter([Moved("events", 1, 2, False, "n")], 3)
    b.put_back(failed)
    again = b.take(4, state(b), heartbeat=False)
    assert again is not None
    assert again.cursors == {(5, "events"): Cursor(4, "m", False), (6, "events"): Cursor(2, "n", False)}
    assert again.counts == {(0, "events"): Count(0, 6, 0)}


def test_nothing_is_written_while_nothing_changes() -> None:
    b = book()
    assert b.take(1, state(b), heartbeat=False) is not None
    assert b.take(2, state(b), heartbeat=False) is None
    assert b.take(3, state(b), heartbeat=True) is not None


def test_the_same_trouble_is_told_once(tmp_path: Path) -> None:
    b, refused = book(), fault("unreachable", broker="b", reason="refused")
    for t_ms in (1, 2, 3):
        b.link_down(refused.notice, t_ms, t_ms + 10)
    b.link_up(Notice("connected", {"broker": "b", "proof": "p"}), 4)
    b.link_down(refused.notice, 5, 15)
    b.enter([Refused("events", 1, 0x87), Refused("events", 1, 0x87)], 6)
    b.enter([Unsubscribed("readings")], 7)
    b.enter([Subscribed("readings"), Moved("readings", 1, 2, False, "")], 8)
    changes = b.take(9, state(b), heartbeat=False)
    assert changes is not None
    db = UplinkDb.open(tmp_path)
    db.save(changes)
    db.close()
    assert [(event["t_ms"], event["kind"]) for event in reversed(read_events(tmp_path, 20))] == [
        (1, "unreachable"), (4, "connected"), (5, "unreachable"), (6, "publish_refused"), (7, "no_subscriber"),
        (8, "subscribed"),
    ]  # fmt: skip
    assert list(b.stream_errors) == ["events"]


def test_with_accept_a_missing_subscriber_is_no_trouble() -> None:
    b = book("accept")
    b.enter([Unsubscribed("readings"), Moved("readings", 1, 2, True, "")], 1)
    assert b.stream_errors == {}


@pytest.mark.parametrize(
    ("kind", "words", "error"),
    [
        ("unreachable", {"reason": "r"}, Unreachable),
        ("not_authorised", {"reason": "r", "client": "c"}, NotAuthorised),
        ("ack_timeout", {"seconds": 30}, NoAck),
    ],
)
def test_a_fault_is_the_error_of_its_kind_with_text_and_hint(kind: str, words: dict[str, Any], error: type) -> None:
    raised = fault(kind, broker="mqtt://b:1883", **words)
    assert isinstance(raised, error)
    assert "mqtt://b:1883" in str(raised)
    assert raised.hint
    assert raised.retryable
