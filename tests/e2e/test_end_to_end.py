"""Simulated plant → `wattledger run` → Mosquitto → an independent subscriber: every seq once, every mWh."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from engine.ledger import Engine
from gateway.collect.points import metered
from gateway.config_file import load
from gateway.store.reader import LedgerReader
from tests.e2e.rig import Broker, Plant, Subscriber, free_port, site_file, until, wattledger

METERS = 6
PROFILES = ("eastron-sdm630", "abb-b23", "schneider-iem3155", "acrel-dtsd1352", "chint-dtsu666", "siemens-pac3200")
COUNTERS = {
    "active_energy_import": "active_energy_import_wh",
    "active_energy_export": "active_energy_export_wh",
    "reactive_energy_import": "reactive_energy_import_varh",
    "reactive_energy_export": "reactive_energy_export_varh",
}


def _mwh(value: float) -> int:
    """Wh of a row to mWh; a row carries at most three decimals."""
    return round(value * 1000)


@pytest.mark.timeout(240)
def test_every_milliwatthour_and_every_seq_arrives_once(tmp_path: Path) -> None:
    profiles = [option for profile in PROFILES for option in ("--profile", profile)]
    # The roll-over is ahead of the first answer: the register wraps while it is metered.
    plant = Plant(tmp_path, "--meters", str(METERS), *profiles, "--fault", "sim-4:rollover=40")
    mqtt_port = free_port()
    broker = Broker(tmp_path, mqtt_port)
    subscriber = Subscriber(tmp_path, mqtt_port)
    toml = plant.ready["site_toml"].replace('energy_interval = "15m"', 'energy_interval = "10s"')
    config = site_file(tmp_path, toml, mqtt_port)
    gateway = wattledger("run", tmp_path, "run", "-c", str(config))
    try:
        until(lambda: subscriber.rows("intervals"), "the first interval row", 60)
        plant.order("sim-2:silent+12s")
        broker.stop(signal.SIGTERM)
        until(lambda: _closed(tmp_path) >= 3 * METERS, "three intervals of each meter closed", 90)
        broker = Broker(tmp_path, mqtt_port)
        until(lambda: _rollovers(tmp_path), "the roll-over was decided", 60)
        # Nothing is shown any more that the gateway could miss while it stops.
        plant.order("*:silent")
        _settle(tmp_path)
        assert gateway.stop(within_s=8) == 0, gateway.log.read_text()
        uplink = wattledger("uplink", tmp_path, "uplink", "-c", str(config))
        reader = LedgerReader(tmp_path / "store")
        last = {stream: reader.last_seq(stream) for stream in ("intervals", "events", "readings")}
        for stream, seq in last.items():
            until(lambda s=stream, n=seq: len(subscriber.rows(s)) >= n, f"all {seq} {stream} arrived", 60)
        assert uplink.stop() == 0
    finally:
        for child in (gateway, plant, subscriber, broker):
            child.stop(signal.SIGKILL)

    for stream, seq in last.items():
        keys = sorted(subscriber.rows(stream))
        assert [n for _, n in keys] == list(range(1, seq + 1)), f"{stream}: every seq, and each once"
    _compare_energy(config, reader, subscriber, plant.truth())


def _closed(folder: Path) -> int:
    return LedgerReader(folder / "store").last_seq("intervals")


def _rollovers(folder: Path) -> list[dict[str, Any]]:
    events = LedgerReader(folder / "store").events()
    return [e for e in events if e["kind"] == "counter_rollover"]


def _settle(folder: Path) -> None:
    """Until two looks at the ledger, a commit apart, show the same last reading."""
    seen = -1

    def same() -> bool:
        nonlocal seen
        before, seen = seen, LedgerReader(folder / "store").last_seq("readings")
        time.sleep(2.2)
        return before == seen

    until(same, "no more readings", 30)


def _compare_energy(config: Path, reader: LedgerReader, subscriber: Subscriber, truth: dict[str, Any]) -> None:
    """Σ received interval rows + the running open block = what the registers showed, per meter and counter."""
    settings = load(config)
    snapshot = reader.snapshot()
    assert snapshot is not None
    assert snapshot.through_seq == reader.last_seq("readings"), "a clean stop leaves nothing to replay"
    devices = [m.device for m in metered(settings).values()]
    engine = Engine.restore(snapshot.data, devices, settings.site.energy_interval)
    rows = defaultdict(list)
    for row in subscriber.rows("intervals").values():
        rows[row["meter"]].append(row)
    checked = 0
    for meter, shown in truth.items():
        assert len(rows[meter]) >= 3, meter
        assert len({row["start"] for row in rows[meter]}) == len(rows[meter]), "no interval twice"
        open_block = engine.open_block(meter)
        assert open_block is not None
        still_open = dict(
            zip(
                COUNTERS,
                (
                    open_block.import_mwh, open_block.export_mwh,
                    open_block.reactive_import_mvarh, open_block.reactive_export_mvarh,
                ),
                strict=True,
            )  # fmt: skip
        )
        for counter, key in COUNTERS.items():
            if counter not in shown["counters"]:
                continue
            received = sum(_mwh(row[key]) for row in rows[meter]) + (still_open[counter] or 0)
            assert received == shown["counters"][counter]["delivered_mwh"], (meter, counter)
            checked += 1
    assert checked >= 2 * METERS
    assert sum(_mwh(row["active_energy_import_wh"]) for part in rows.values() for row in part) > 0
