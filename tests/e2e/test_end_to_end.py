"""Simulated plant → `wattledger run` → Mosquitto → an independent subscriber: every seq once, every mWh."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.store.reader import LedgerReader
from tests.e2e.energy import compare
from tests.e2e.rig import Broker, Plant, Subscriber, free_port, settle, site_file, until, wattledger

METERS = 6
PROFILES = ("eastron-sdm630", "abb-b23", "schneider-iem3155", "acrel-dtsd1352", "chint-dtsu666", "siemens-pac3200")

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
        settle(tmp_path / "store")
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
    compare(config, subscriber.rows("intervals").values(), plant.truth(), at_least=3)


def _closed(folder: Path) -> int:
    return LedgerReader(folder / "store").last_seq("intervals")


def _rollovers(folder: Path) -> list[dict[str, Any]]:
    events = LedgerReader(folder / "store").events()
    return [e for e in events if e["kind"] == "counter_rollover"]
