"""kill -9 of every process at random moments: what an outsider once saw stays, nothing is counted twice or lost."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from engine.errors import StoreError
from gateway.store.reader import LedgerReader
from tests.e2e.energy import compare
from tests.e2e.rig import Broker, Child, Plant, Subscriber, free_port, settle, site_file, until, wattledger
from tests.faults.probe import KEYS, digest

SOAK = int(os.environ.get("SOAK", "1"))  # `make soak` multiplies
KILLS = (("collect",) * 12 + ("uplink",) * 5 + ("web",) * 4) * SOAK
COMMIT_MS = 1000


def _last_commit(store: Path) -> tuple[int, int]:
    """(t_ms, boot_id); zeros while the ledger is just being created."""
    try:
        return LedgerReader(store).last_commit() or (0, 0)
    except StoreError:
        return 0, 0


@pytest.mark.timeout(400 * SOAK)
def test_what_was_committed_survives_every_kill(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    plant = Plant(tmp_path, "--meters", "3", "--profile", "abb-b23", "--profile", "eastron-sdm630")
    mqtt_port = free_port()
    broker = Broker(tmp_path, mqtt_port)
    subscriber = Subscriber(tmp_path, mqtt_port)
    toml = plant.ready["site_toml"].replace('energy_interval = "15m"', 'energy_interval = "10s"')
    config = site_file(tmp_path, toml, mqtt_port)
    store = tmp_path / "store"
    processes = {name: _start(name, tmp_path, config) for name in ("collect", "uplink", "web")}
    until(lambda: _last_commit(store)[0], "the first commit", 60)
    watcher = [sys.executable, "-m", "tests.faults.probe", str(store / "ledger.db"), str(tmp_path / "seen")]
    probe = Child("probe", watcher, tmp_path)
    lost_ms, boot = [], 0
    try:
        order = list(KILLS)
        chance.shuffle(order)
        for name in order:
            if name == "collect":
                boot = until(lambda after=boot: _committing(store, after), "collect commits readings", 60)
            time.sleep(chance.uniform(0.0, 1.2))
            killed_ms = time.time_ns() // 1_000_000
            processes[name].stop(signal.SIGKILL)
            if name == "collect":
                lost_ms.append(killed_ms - _last_of_boot(store, boot))
            processes[name] = _start(name, tmp_path, config)
        until(lambda: _committing(store, boot), "collect commits readings", 60)
        plant.order("*:silent")
        settle(store)
        until(lambda: _delivered(subscriber, store), "everything arrived", 60)
        for process in processes.values():
            assert process.stop(within_s=8) == 0, process.log.read_text()
    finally:
        for child in (*processes.values(), probe, plant, subscriber, broker):
            child.stop(signal.SIGKILL)

    assert max(lost_ms) <= COMMIT_MS + 1000, lost_ms
    _everything_seen_is_still_there(store, tmp_path / "seen")
    _no_holes(store)
    _gaps_are_booked(store, kills=KILLS.count("collect"))
    reader = LedgerReader(store)
    compare(config, reader.intervals(None, 0, 1 << 60), plant.truth(), at_least=3)
    arrived = sorted(seq for _, seq in subscriber.rows("readings"))
    assert arrived == list(range(1, len(arrived) + 1))
    print(f"{len(KILLS)} kills, lost at most {max(lost_ms)} ms, {reader.last_seq('readings')} readings")


def _start(name: str, folder: Path, config: Path) -> Child:
    return wattledger(name, folder, name, "-c", str(config))


def _committing(store: Path, after: int) -> int:
    """The newest boot after `after`, once it has committed a reading; else 0."""
    if not (store / "ledger.db").exists():
        return 0
    reader = LedgerReader(store)
    rows = reader.query(
        "select b.boot_id as boot from boots b join commits c on c.boot_id = b.boot_id"
        " where b.boot_id > ? and c.reading_first is not null order by b.boot_id desc limit 1",
        (after,),
    )
    return int(rows[0]["boot"]) if rows else 0


def _last_of_boot(store: Path, boot: int) -> int:
    rows = LedgerReader(store).query("select max(t_ms) as t from commits where boot_id = ?", (boot,))
    return int(rows[0]["t"])


def _delivered(subscriber: Subscriber, store: Path) -> bool:
    return len(subscriber.rows("readings")) >= LedgerReader(store).last_seq("readings")


def _everything_seen_is_still_there(store: Path, seen: Path) -> None:
    lines = [json.loads(line) for line in seen.read_text().splitlines()]
    assert {table for table, _, _ in lines} == set(KEYS), "the probe saw rows of every table"
    with sqlite3.connect(f"file:{store / 'ledger.db'}?mode=ro", uri=True) as ledger:
        for table, key, was in lines:
            row = ledger.execute(f"select {KEYS[table]}, * from {table} where {KEYS[table]} = ?", (key,)).fetchone()
            assert row is not None, f"{table} {key} is gone"
            assert digest(row) == was, f"{table} {key} changed"
    ledger.close()


def _no_holes(store: Path) -> None:
    reader = LedgerReader(store)
    expected = 1
    commits = "select reading_first, reading_last from commits where reading_first is not null order by num"
    for row in reader.query(commits):
        assert row["reading_first"] == expected
        expected = row["reading_last"] + 1
    for table in ("intervals", "events"):
        count, last = reader.query(f"select count(*) as n, max(seq) as last from {table}")[0].values()
        assert count == last, f"{table}: seq without holes"


def _gaps_are_booked(store: Path, kills: int) -> None:
    """The gaps that were told, in seconds of the grid, are exactly the ticks of cause box; no boot hides one."""
    reader = LedgerReader(store)
    spans = reader.query(
        "select (select max(c.t_ms) from commits c where c.boot_id = b.boot_id - 1) as last, b.started_ms as next"
        " from boots b where b.boot_id > 1"
    )
    assert len(spans) == kills
    gaps = reader.query("select t_ms, until_ms from events where kind = 'box_gap'")
    assert {gap["t_ms"] for gap in gaps} >= {s["last"] for s in spans if s["next"] // 1000 > s["last"] // 1000}
    ticks = sum(gap["until_ms"] // 1000 - gap["t_ms"] // 1000 for gap in gaps)
    assert ticks > 0
    for meter, c in reader.counts(0, 1 << 60).items():
        assert c.missed["box"] == ticks, (meter, c)
        unaccounted = c.due - c.valid - sum(c.missed.values())
        assert 0 <= unaccounted <= 2 * kills, f"{meter}: only ticks in flight at a kill or a start have no cause ({c})"
