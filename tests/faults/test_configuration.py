"""Bad and changed configurations: nothing starts on a bad file, nothing stops for one, a good one is taken over."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from gateway.live import LiveReader
from gateway.store.reader import LedgerReader
from tests.e2e.rig import Child, Plant, call, last_reading, site_file, until, wattledger
from tests.e2e.site.processes import stranger_on

UNKNOWN = 'profile = "eastron-sdm63"'


def _spoiled(good: str) -> tuple[str, int]:
    """The file with an unknown profile, and its line."""
    bad = good.replace('profile = "eastron-sdm630"', UNKNOWN, 1)
    return bad, bad[: bad.index(UNKNOWN)].count("\n") + 1


@pytest.mark.parametrize("command", ["run", "collect", "uplink", "web", "check"])
def test_a_first_start_with_a_bad_file_starts_nothing_and_names_the_line(tmp_path: Path, command: str) -> None:
    good = call("config", "example").stdout.replace("/var/lib/wattledger", str(tmp_path / "store"))
    bad, line = _spoiled(good)
    config = tmp_path / "site.toml"
    config.write_text(bad)
    done = call(command, "-c", str(config))
    assert done.returncode == 3
    assert f"{config}:{line}" in done.stderr
    assert 'unknown profile "eastron-sdm63"' in done.stderr
    assert '"eastron-sdm630"' in done.stderr, "the nearest name is offered"
    assert [p.name for p in tmp_path.iterdir()] == ["site.toml"]


@dataclass
class Story:
    """`collect` through four configurations: two meters; refused; restarted on the refused one; three meters."""

    config: Path
    line: int = 0
    pid_kept: bool = False
    went_on: bool = False
    status: dict[str, Any] = field(default_factory=dict)
    told: str = ""
    warned: str = ""
    restarted_on: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    code: int = -1
    log: str = ""

    @cached_property
    def ledger(self) -> LedgerReader:
        """One reader for all of it: it has to follow the writer through its stops and starts."""
        return LedgerReader(self.config.parent / "store")

    @property
    def kinds(self) -> list[str]:
        return [e["kind"] for e in self.ledger.events()]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("config")
    plant = Plant(folder, "--meters", "3")
    config = site_file(folder, plant.ready["site_toml"], 1)
    three = config.read_text()
    two = _without(three, "sim-3")
    bad, line = _spoiled(two)
    seen = Story(config, line)
    live = LiveReader(folder / "store" / "run", lambda: time.time_ns() // 1_000_000)
    collect: Child | None = None

    def start() -> Child:
        child = wattledger("collect", folder, "collect", "-c", str(config))
        until(lambda: child.process.poll() is not None or len(_meters(live)) >= 2, "meters answer", 20)
        assert child.process.poll() is None, child.log.read_text()
        return child

    try:
        config.write_text(two)
        collect = start()
        until(lambda: last_reading(seen.ledger), "readings are committed")
        config.write_text(bad)
        collect.process.send_signal(signal.SIGHUP)
        until(lambda: seen.kinds.count("config_rejected") == 1, "the refusal is an event", 10)
        before = last_reading(seen.ledger)
        until(lambda: last_reading(seen.ledger) > before, "readings go on", 5)
        seen.went_on = collect.process.poll() is None
        done = call("status", "-c", str(config), "--json")
        seen.status, seen.warned = json.loads(done.stdout), done.stderr
        seen.told = call("status", "-c", str(config)).stdout
        assert collect.stop() == 0
        with stranger_on(folder / "store" / "run" / "bus-wire-1.lock"):
            collect = wattledger("collect", folder, "collect", "-c", str(config))
            until(lambda: seen.kinds.count("config_rejected") == 2, "it runs on the last good copy", 20)
            until(lambda: "bus_down" in seen.kinds, "the stranger on the bus is told", 5)
        until(lambda: len(_meters(live)) == 2, "both meters answer, once the stranger is gone", 15)
        seen.restarted_on = sorted(_meters(live))
        config.write_text(three)
        collect.process.send_signal(signal.SIGHUP)
        until(lambda: len(_meters(live)) == 3, "the added meter is read", 15)
        seen.answered = sorted(_meters(live))
        until(lambda: seen.ledger.readings("sim-3", 0, 1 << 60), "and committed", 5)
        seen.code, seen.log = collect.stop(), collect.log.read_text()
        yield seen
    finally:
        for child in (collect, plant):
            if child is not None:
                child.stop(signal.SIGKILL)


def test_a_refused_file_at_sighup_changes_nothing_and_is_told(story: Story) -> None:
    assert story.went_on
    first = next(e for e in story.ledger.events() if e["kind"] == "config_rejected")
    assert f"site.toml:{story.line}" in first["text"]["en"]
    assert 'unknown profile "eastron-sdm63"' in first["data"]["reason"]
    assert first["severity"] == "error"


def test_status_says_that_the_file_was_refused_and_shows_what_runs(story: Story) -> None:
    assert story.status["running"] is True
    assert [m["meter"] for m in story.status["meters"]] == ["sim-1", "sim-2"]
    assert f"site.toml:{story.line}" in story.status["health"]["config_rejected"]
    assert "the last good one is in force" in story.told
    assert "wattledger check" in story.warned


def test_collect_starts_on_the_last_good_copy_of_a_refused_file(story: Story) -> None:
    assert story.restarted_on == ["sim-1", "sim-2"]
    assert "running on the last good configuration" in story.log


def test_a_bus_that_a_stranger_holds_is_told_with_his_name_and_taken_when_he_is_gone(story: Story) -> None:
    (down,) = [e for e in story.ledger.events() if e["kind"] == "bus_down"]
    assert down["bus"] == "wire-1"
    assert "belongs to process" in down["data"]["reason"]
    assert "fuser -v" in down["data"]["hint"]
    assert story.kinds.count("bus_up") == 1
    assert story.ledger.counts(0, 1 << 60)["sim-1"].missed["bus"] >= 4


def test_a_good_file_at_sighup_is_taken_over_and_its_new_meter_read(story: Story) -> None:
    assert story.answered == ["sim-1", "sim-2", "sim-3"]
    assert [kind for kind in story.kinds if kind.startswith("config_")] == [
        "config_applied", "config_rejected", "config_rejected", "config_applied",
    ]  # fmt: skip
    applied = [e["data"]["digest"] for e in story.ledger.events() if e["kind"] == "config_applied"]
    assert len(set(applied)) == 2
    assert story.ledger.in_force("meter").keys() == {"sim-1", "sim-2", "sim-3"}


def test_taking_over_a_file_loses_no_tick_to_the_box(story: Story) -> None:
    gaps = [e for e in story.ledger.events() if e["kind"] == "box_gap"]
    boots = [e["t"] for e in story.ledger.events() if e["kind"] == "boot"]
    assert len(boots) == 3
    assert all(gap["until"] < boots[2] for gap in gaps)
    assert story.code == 0
    assert "Traceback" not in story.log


def _without(text: str, meter: str) -> str:
    """The file without a [[meter]] table; its bus stays."""
    head, *tables = text.split("[[meter]]")
    kept: list[str] = []
    for table in tables:
        body, mark, rest = table.partition("\n[")
        if f'id = "{meter}"' in body:
            kept[-1:] = [kept[-1] + mark + rest] if kept else []
        else:
            kept.append(table)
    return "[[meter]]".join([head, *kept])


def _meters(live: LiveReader) -> dict[str, Any]:
    meters: dict[str, Any] = (live.read() or {"meters": {}})["meters"]
    return meters
