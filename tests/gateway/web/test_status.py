"""The sentence and the states behind it, from literals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.store.reader import LedgerReader
from gateway.timespan import utc_text
from gateway.web.status import MeterStates, Part, collect_state, level, meter_states, sentence
from gateway.web.storage import Storage, look_at_storage
from gateway.web.upload import Upload, upload_of, usual_backlog

T_MS = 1_795_248_000_000
GOOD = MeterStates(("a", "b"), (), ())
ROOM = Storage("ok", 1, 90, 100)
DONE = Upload("up_to_date", "mqtt://broker")


def live(**ages_ms: int) -> dict[str, Any]:
    return {"t": utc_text(T_MS), "meters": {meter: {"t": utc_text(T_MS - age)} for meter, age in ages_ms.items()}}


def keys(parts: list[Part]) -> list[str]:
    return [part.key for part in parts]


def test_all_is_well() -> None:
    parts = sentence("running", GOOD, DONE, ROOM)
    assert parts == [Part("all_answer", "ok", {"count": 2}), Part("upload_up_to_date", "ok", {"count": 0})]
    assert level(parts) == "ok"


def test_silent_and_waiting_meters_are_counted_and_three_are_named() -> None:
    states = MeterStates(("a",), ("b", "c", "d", "e"), ("f",))
    silent, waiting, _ = sentence("running", states, DONE, ROOM)
    assert silent == Part("silent", "warning", {"count": 4, "total": 6, "meters": ["b", "c", "d"]})
    assert waiting == Part("waiting", "warning", {"count": 1, "total": 6, "meters": ["f"]})


def test_a_stopped_collect_is_told_instead_of_silent_meters() -> None:
    parts = sentence("stopped", MeterStates((), ("a",), ()), DONE, ROOM)
    assert keys(parts) == ["metering_stopped", "upload_up_to_date"]
    assert level(parts) == "error"


def test_before_the_first_start_only_the_next_step_matters() -> None:
    never = Upload("never", "mqtt://broker")
    absent = Storage("absent", 0, 90, 100)
    assert keys(sentence("never", MeterStates((), (), ("a",)), never, absent)) == ["not_started"]
    assert keys(sentence("never", MeterStates((), (), ()), never, absent)) == ["no_meters"]


def test_an_unreadable_ledger_and_a_full_disk_are_told() -> None:
    broken = Storage("unreadable", 0, 90, 100, {}, "ledger.db is damaged", "restore a backup")
    assert sentence("running", GOOD, DONE, broken)[-1] == Part(
        "ledger_unreadable", "error", {"error": "ledger.db is damaged"}
    )
    assert sentence("running", GOOD, DONE, Storage("ok", 1, 4, 100))[-1] == Part("disk_low", "warning", {"bytes": 4})
    assert keys(sentence("running", GOOD, DONE, Storage("ok", 1, 5, 100))) == ["all_answer", "upload_up_to_date"]


def test_a_store_that_cannot_be_looked_at_is_told_and_not_raised(tmp_path: Path) -> None:
    unlooked = tmp_path / ("x" * 300)  # longer than a file system takes
    storage = look_at_storage(LedgerReader(unlooked), unlooked)
    assert storage.state == "unreadable"
    assert str(unlooked) in storage.error
    assert storage.hint.startswith("ls -ld ")


def test_a_store_that_is_not_there_yet_still_has_a_disk(tmp_path: Path) -> None:
    storage = look_at_storage(LedgerReader(tmp_path / "a" / "b"), tmp_path / "a" / "b")
    assert (storage.state, storage.last_seq) == ("absent", {})
    assert storage.total_bytes > 0


def test_closed_months_count_as_ledger(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "2026-10.db").write_bytes(b"x" * 1000)
    assert look_at_storage(LedgerReader(tmp_path), tmp_path).ledger_bytes == 1000


@pytest.mark.parametrize(
    ("age_ms", "state"), [(0, "running"), (4999, "running"), (5000, "stopped"), (None, "stopped")]
)
def test_the_live_file_tells_whether_collect_runs(age_ms: int | None, state: str) -> None:
    assert collect_state(live(), age_ms) == state


def test_without_a_live_file_collect_never_ran() -> None:
    assert collect_state(None, None) == "never"


def test_a_meter_is_silent_after_three_intervals_and_not_before_five_seconds() -> None:
    intervals_ms = {"fast": 1000, "fast2": 1000, "slow": 10_000, "slow2": 10_000, "new": 1000}
    states = meter_states(intervals_ms, live(fast=4999, fast2=5000, slow=29_999, slow2=30_000))
    assert states == MeterStates(("fast", "slow"), ("fast2", "slow2"), ("new",))


def test_meters_are_judged_by_the_live_files_own_clock() -> None:
    assert meter_states({"a": 1000}, live(a=400)) == MeterStates(("a",), (), ())


def stream(**changes: Any) -> dict[str, Any]:
    return {"cursor": 10, "waiting": 0, "no_subscriber": False, "stuck": False, "history_differs": False} | changes


def uplink(**changes: Any) -> dict[str, Any]:
    state = {
        "running": True, "connected": True, "broker": "mqtt://b:1883", "proof": "puback-5", "error": None,
        "streams": {"readings": stream()},
    }  # fmt: skip
    return state | changes


ERROR = {"severity": "error", "text": {"en": "refused", "zh": "拒绝"}, "hint": {"en": "look", "zh": "看"}}
WARNING = ERROR | {"severity": "warning"}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, "never"),
        (uplink(), "up_to_date"),
        (uplink(running=False), "stopped"),
        (uplink(running=False, connected=False, error=WARNING), "stopped"),
        (uplink(connected=False), "connecting"),
        (uplink(connected=False, error=WARNING), "offline"),
        (uplink(connected=False, error=ERROR), "refused"),
        (uplink(streams={"events": stream(no_subscriber=True), "readings": stream()}), "nobody"),
        (uplink(streams={"events": stream(stuck=True)}), "refused"),
        (uplink(streams={"events": stream(history_differs=True)}), "refused"),
        (uplink(streams={"readings": stream(waiting=74)}), "up_to_date"),
        (uplink(streams={"readings": stream(waiting=75)}), "catching_up"),
    ],
)
def test_the_uplinks_state_in_one_word(plant: Any, state: dict[str, Any] | None, expected: str) -> None:
    settings = plant.settings()
    assert usual_backlog(settings) == 50 + 3 * (4 + 4)
    assert upload_of(state, settings).state == expected


def test_the_upload_shows_backlog_cursor_and_reason(plant: Any) -> None:
    state = uplink(connected=False, error=WARNING, streams={"readings": stream(waiting=7), "events": stream(cursor=3)})
    upload = upload_of(state, plant.settings())
    assert upload.backlog == {"readings": 7, "events": 0}
    assert upload.cursor == {"readings": 10, "events": 3}
    assert (upload.detail, upload.hint, upload.waiting) == (WARNING["text"], WARNING["hint"], 7)
