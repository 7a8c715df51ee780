"""The live file as its readers see it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gateway.live import LiveReader

BODY = {"v": 1, "meters": {}}


def put(runtime: Path, body: object, *, modified_s: int = 1000) -> None:
    new = runtime / "new"
    new.write_text(json.dumps(body) if not isinstance(body, str) else body)
    os.utime(new, (modified_s, modified_s))
    os.replace(new, runtime / "live")


def test_without_a_file_there_is_nothing_and_collect_does_not_run(tmp_path: Path) -> None:
    reader = LiveReader(tmp_path, lambda: 1_000_000)
    assert reader.read() is None
    assert reader.age_ms() is None
    assert not reader.running()


def test_the_same_object_comes_until_the_file_is_replaced(tmp_path: Path) -> None:
    put(tmp_path, {"v": 1, "meters": {}})
    reader = LiveReader(tmp_path, lambda: 1_001_500)
    first = reader.read()
    assert first == {"v": 1, "meters": {}}
    assert reader.read() is first
    assert reader.age_ms() == 1500
    put(tmp_path, {"v": 1, "meters": {"a": {}}})
    assert reader.read() == {"v": 1, "meters": {"a": {}}}


def test_a_file_of_five_seconds_means_that_collect_is_gone(tmp_path: Path) -> None:
    put(tmp_path, BODY)
    assert LiveReader(tmp_path, lambda: 1_004_999).running()
    assert not LiveReader(tmp_path, lambda: 1_005_000).running()


def test_a_damaged_or_deleted_file_is_as_good_as_none(tmp_path: Path) -> None:
    put(tmp_path, BODY)
    reader = LiveReader(tmp_path, lambda: 1_000_000)
    assert reader.read() is not None
    put(tmp_path, '{"v":')
    assert reader.read() is None
    put(tmp_path, BODY)
    assert reader.read() == BODY
    put(tmp_path, [1])
    assert reader.read() is None
    (tmp_path / "live").unlink()
    assert reader.read() is None
