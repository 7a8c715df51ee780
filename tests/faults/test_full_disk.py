"""A full disk: the kernel lets no file of `collect` grow; readings wait in memory, then all of them are committed."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from gateway.live import LiveReader
from gateway.store.reader import LedgerReader
from tests.e2e.energy import compare
from tests.e2e.rig import Plant, call, last_reading, site_file, until
from tests.faults.probe import KEYS, digest, look

LIVE_ONLY = 6000  # bytes: enough for the live file, not for one more commit
NOTHING = 1


@dataclass
class Story:
    """What was seen, from the full disk to the end."""

    config: Path
    truth: dict[str, Any]
    before: list[tuple[str, int, str]]  # rows committed before
    frozen_seq: int
    live_while_full: list[str]
    status: dict[str, Any]
    told: str
    code: int
    log: str

    @cached_property
    def ledger(self) -> LedgerReader:
        return LedgerReader(self.config.parent / "store")


def _let_files_grow_to(process: subprocess.Popen[str], size: int) -> None:
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("disk")
    plant = Plant(folder, "--meters", "2", "--profile", "abb-b23", "--profile", "eastron-sdm630")
    config = site_file(folder, plant.ready["site_toml"], 1)
    # Its log goes to a pipe: a file would be full too.
    command = [sys.executable, "-m", "gateway", "collect", "-c", str(config)]
    collect = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    store = folder / "store"
    live = LiveReader(store / "run", lambda: time.time_ns() // 1_000_000)

    reader = LedgerReader(store)

    def shown() -> str:
        body = live.read() or {"meters": {}}
        return str(body["meters"].get("sim-1", {}).get("t", ""))

    try:
        until(lambda: last_reading(reader) >= 4, "readings are committed")
        _let_files_grow_to(collect, LIVE_ONLY)
        until(lambda: (live.read() or {})["health"]["disk_full"], "the full disk is noticed", 10)
        frozen_seq, before = reader.last_seq("readings"), _rows(store)
        seen = [shown()]
        while len(seen) < 4:
            until(lambda: shown() > seen[-1], "the live file goes on", 5)
            seen.append(shown())
        status = json.loads(call("status", "-c", str(config), "--json").stdout)
        told = call("status", "-c", str(config)).stdout
        assert reader.last_seq("readings") == frozen_seq, "the disk took nothing"
        _let_files_grow_to(collect, NOTHING)
        time.sleep(2)  # not even the live file can be written
        _let_files_grow_to(collect, resource.RLIM_INFINITY)
        until(lambda: _kinds(reader).count("disk_ok"), "the disk takes data again", 10)
        plant.order("*:silent")
        time.sleep(1.2)  # the plant writes its truth once a second
        answers = sum(meter["answers"] for meter in plant.truth().values())
        until(lambda: reader.last_seq("readings") >= answers, "every answer is committed")
        collect.terminate()
        _, log = collect.communicate(timeout=10)
        yield Story(config, plant.truth(), before, frozen_seq, seen, status, told, collect.returncode, log)
    finally:
        collect.kill()
        plant.stop(signal.SIGKILL)


def test_live_values_and_status_go_on_and_say_what_is_wrong(story: Story) -> None:
    assert len(set(story.live_while_full)) == 4
    assert story.status["running"] is True
    assert story.status["health"]["commits_waiting"] >= 2
    assert "the disk takes nothing" in story.told
    assert "df -h" in story.told


def test_everything_that_waited_is_committed_and_nothing_was_lost(story: Story) -> None:
    readings = story.ledger.readings(None, 0, 1 << 60)
    assert len(readings) > story.frozen_seq + 8
    for meter, shown in story.truth.items():
        rows = [row for row in readings if row["meter"] == meter]
        assert len(rows) == shown["answers"], "each answer of the meter, also those given to a full disk"
        assert story.ledger.counts(0, 1 << 60)[meter].missed.get("disk", 0) == 0
    compare(story.config, story.ledger.intervals(None, 0, 1 << 60), story.truth, at_least=1)


def test_what_was_committed_before_is_unchanged(story: Story) -> None:
    assert {table for table, _, _ in story.before} >= {"boots", "clock", "commits", "events"}
    with sqlite3.connect(story.config.parent / "store" / "ledger.db") as ledger:
        for table, key, was in story.before:
            row = ledger.execute(f"select {KEYS[table]}, * from {table} where {KEYS[table]} = ?", (key,)).fetchone()
            assert digest(row) == was
    ledger.close()


def test_the_events_tell_when_it_began_and_ended(story: Story) -> None:
    kinds = _kinds(story.ledger)
    assert [kind for kind in kinds if kind.startswith("disk")] == ["disk_full", "disk_ok"]
    assert kinds.count("boot") == 1
    (ended,) = [e for e in story.ledger.events() if e["kind"] == "disk_ok"]
    assert ended["data"] == {"lost": 0}


def test_collect_never_stumbled(story: Story) -> None:
    assert story.code == 0
    assert "Traceback" not in story.log
    assert story.log.count("live: File too large") == 1, "the live file that cannot be written is said once"


def _kinds(reader: LedgerReader) -> list[str]:
    return [event["kind"] for event in reader.events()]


def _rows(store: Path) -> list[tuple[str, int, str]]:
    seen = dict.fromkeys(KEYS, 0)
    with sqlite3.connect(f"file:{os.fspath(store / 'ledger.db')}?mode=ro", uri=True) as connection:
        rows = look(connection, seen)
    connection.close()
    return rows
