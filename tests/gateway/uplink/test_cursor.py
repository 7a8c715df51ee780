"""uplink.db: what was saved is there, whoever reads it and however the writer ended."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.errors import Corrupt, StoreError
from gateway.uplink.account import read_cursors, read_events, read_hours, read_state
from gateway.uplink.cursor import Changes, Count, Cursor, UplinkDb
from gateway.uplink.notice import KINDS, Notice

STATE = {"pid": 1, "connected": False}


def changes(**fields: object) -> Changes:
    made = Changes(1000, state=STATE)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_what_was_saved_is_read_back_while_the_writer_lives_and_after_it_ended(tmp_path: Path) -> None:
    db = UplinkDb.open(tmp_path)
    db.save(changes(cursors={(5, "readings"): Cursor(7, "a", False)}, counts={(0, "readings"): Count(9, 7, 0)}))
    db.save(changes(counts={(0, "readings"): Count(1, 2, 3)}, notices=[(44, Notice("started"))]))
    for ended in (False, True):
        assert read_cursors(tmp_path, 5) == {"readings": Cursor(7, "a", False)}
        assert read_cursors(tmp_path, 6) == {}
        assert read_hours(tmp_path, 0, 1) == [
            {"hour_ms": 0, "stream": "readings", "published": 10, "acknowledged": 9, "broker_accepted": 3}
        ]
        assert [(event["t_ms"], event["kind"]) for event in read_events(tmp_path, 5)] == [(44, "started")]
        assert read_state(tmp_path) == {**STATE, "written_ms": 1000, "running": True}
        if not ended:
            db.close()
    again = UplinkDb.open(tmp_path)
    assert again.cursors(5) == {"readings": Cursor(7, "a", False)}
    again.close()


def test_a_cursor_never_goes_back(tmp_path: Path) -> None:
    db = UplinkDb.open(tmp_path)
    db.save(changes(cursors={(5, "events"): Cursor(7, "a", False)}))
    db.save(changes(cursors={(5, "events"): Cursor(6, "b", False)}))
    assert db.cursors(5)["events"].seq == 7
    db.save(changes(cursors={(5, "events"): Cursor(7, "a", True)}))
    assert db.cursors(5)["events"].closed
    db.close()


def test_a_save_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    db = UplinkDb.open(tmp_path)
    with sqlite3.connect(tmp_path / "uplink.db") as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON state BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.close()
    with pytest.raises(StoreError, match="disk full"):
        db.save(changes(cursors={(5, "events"): Cursor(1, "a", False)}))
    assert db.cursors(5) == {}
    db.close()


def test_a_second_uplink_is_refused_and_may_start_when_the_first_ended(tmp_path: Path) -> None:
    db = UplinkDb.open(tmp_path)
    with pytest.raises(StoreError, match="another uplink runs") as refused:
        UplinkDb.open(tmp_path)
    assert "fuser" in refused.value.hint
    db.close()
    UplinkDb.open(tmp_path).close()


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "uplink.db").write_bytes(b"not a database, and long enough to be read as one" * 20)
    with pytest.raises(Corrupt) as refused:
        UplinkDb.open(tmp_path)
    assert "move" in refused.value.hint


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    UplinkDb.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "uplink.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        UplinkDb.open(tmp_path)


def test_before_the_first_run_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    (tmp_path / "uplink.db").touch()
    assert read_state(tmp_path) is None


def test_only_the_newest_events_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.uplink.cursor.EVENTS_MAX", 3)
    db = UplinkDb.open(tmp_path)
    for n in range(6):
        db.save(changes(notices=[(n, Notice("started"))]))
    db.close()
    assert [event["t_ms"] for event in read_events(tmp_path, 9)] == [5, 4, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_every_notice_has_its_sentence_and_hint_in_both_languages(kind: str) -> None:
    words = dict.fromkeys(("broker", "client", "proof", "reason", "stream", "cursor", "first", "bytes", "seconds",
                           "version"), "X")  # fmt: skip
    told = Notice(kind, words).json()
    assert told["text"]["en"].isascii()
    assert not told["text"]["zh"].isascii()
    assert bool(told["hint"]["en"]) == bool(told["hint"]["zh"])
    assert told["severity"] == "info" or told["hint"]["en"]
