"""The run that the tests of this folder share: start, trials, a clean stop by Ctrl-C."""

from __future__ import annotations

import json
import os
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
from gateway.timespan import parse_utc
from tests.e2e.rig import Broker, Child, Subscriber, call, free_port, settle, site_file, until, wattledger
from tests.e2e.site.plant import FAULTS, FEEDER, HONEST, MUTE, RTU_FAULTS, SPOILED, Plant, wires
from tests.e2e.site.processes import children, end_with_children, without_dac_override

BROKEN = """
[[bus]]
id = "unplugged"
protocol = "modbus-rtu"
device = "{folder}/no-such-line"
[[bus]]
id = "forbidden"
protocol = "modbus-rtu"
device = "{folder}/not-mine"
[[meter]]
id = "lost-1"
bus = "unplugged"
address = 1
profile = "eastron-sdm630"
interval = "1s"
[[meter]]
id = "locked-1"
bus = "forbidden"
address = 1
profile = "eastron-sdm630"
interval = "1s"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what needs the gateway at work, then its trials, then its end."""

    def stage(item: pytest.Item) -> int:
        names = getattr(item, "fixturenames", [])
        return 2 if "ended" in names else int("trials" in names)

    places = [n for n, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    for n, item in zip(places, sorted((items[n] for n in places), key=stage), strict=True):
        items[n] = item


@dataclass
class Site:
    """A gateway at work on the whole plant."""

    folder: Path
    config: Path
    plant: Plant
    gateway: Child
    subscriber: Subscriber

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @cached_property
    def ledger(self) -> LedgerReader:
        return LedgerReader(self.store)

    @property
    def live(self) -> dict[str, Any]:
        return LiveReader(self.store / "run", lambda: time.time_ns() // 1_000_000).read() or {}

    def call(self, command: str, *args: str) -> Any:
        """One command line against this site, to its end."""
        return call(command, "-c", str(self.config), *args)

    def json(self, command: str, *args: str) -> list[dict[str, Any]]:
        """Rows that a command prints with --json."""
        done = self.call(command, "--json", *args)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [e for e in self.ledger.events() if e["kind"] in kinds]

    def collect_pid(self) -> int:
        return next(pid for pid, line in children(self.gateway.process.pid) if " collect " in line)

    def client_pids(self) -> list[int]:
        """The IEC 104 clients of collect."""
        return [pid for pid, line in children(self.collect_pid()) if "iec104_child" in line]


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every meter that can answer has answered."""
    folder = tmp_path_factory.mktemp("site")
    plant = Plant(wires())
    plant.order(f"{MUTE}:silent")
    (folder / "not-mine").touch(mode=0o000)
    mqtt_port = free_port()
    broker = Broker(folder, mqtt_port)
    subscriber = Subscriber(folder, mqtt_port)
    config = site_file(folder, plant.site_toml, mqtt_port, extra=BROKEN.format(folder=folder))
    gateway = wattledger(
        "run", folder, "run", "-c", str(config), start_new_session=True, preexec_fn=without_dac_override
    )
    running = Site(folder, config, plant, gateway, subscriber)
    try:
        answering = {*HONEST, *SPOILED, FEEDER}
        until(lambda: answering <= running.live.get("meters", {}).keys(), "every meter answers", 40)
        yield running
    finally:
        end_with_children(gateway)
        for child in (subscriber, broker):
            child.stop(signal.SIGKILL)
        plant.close()


@dataclass
class Trials:
    """What was seen while everything was disturbed at once."""

    site: Site
    status: dict[str, Any] = field(default_factory=dict)
    told: str = ""
    killed: int = 0
    back_s: float = 0.0
    clients_after: list[int] = field(default_factory=list)
    invalid: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="package")
def trials(site: Site) -> Trials:
    """Wrong answers of every kind for four seconds; the IEC 104 link cut, a value invalid, the client killed."""
    until(lambda: site.ledger.last_seq("intervals"), "the first interval row", 30)
    seen = Trials(site)
    site.plant.order(*(f"tcp-{f.partition('=')[0]}:{f}+4s" for f in FAULTS))
    site.plant.order(*(f"rtu-{f.partition('=')[0]}:{f}+4s" for f in RTU_FAULTS))
    site.plant.do(site.plant.station.drop)
    until(lambda: site.events("bus_up"), "the dropped IEC 104 link is back", 10)
    time.sleep(1)
    seen.status = json.loads(site.call("status", "--json").stdout)
    seen.told = site.call("status").stdout
    (seen.killed,) = site.client_pids()
    os.kill(seen.killed, signal.SIGKILL)
    killed_s, killed_ms = time.monotonic(), time.time_ns() // 1_000_000
    until(lambda: parse_utc(site.live["meters"][FEEDER]["t"]) > killed_ms, "the station is heard again", 10)
    seen.back_s = time.monotonic() - killed_s
    seen.clients_after = site.client_pids()
    site.plant.order(f"{FEEDER}:nan+3s")
    until(lambda: "no valid value" in site.live["trouble"].get(FEEDER, {}).get("reason", ""), "that is trouble", 5)
    seen.invalid = site.live["trouble"][FEEDER]
    return seen


@dataclass
class Ended:
    """The site after a clean stop."""

    site: Site
    truth: dict[str, Any]
    code: int
    took_s: float


@pytest.fixture(scope="package")
def ended(trials: Trials) -> Ended:
    """All are well again and have three intervals; then nothing is shown any more, and Ctrl-C."""
    site = trials.site
    able = {FEEDER, *HONEST, *SPOILED}

    def closed() -> bool:
        rows = site.ledger.intervals(None, 0, 1 << 60)
        return all(sum(row["meter"] == meter for row in rows) >= 3 for meter in able)

    until(lambda: not able & site.live["trouble"].keys(), "every meter is well again", 20)
    until(closed, "three intervals of each meter", 60)
    site.plant.order("*:silent")
    settle(site.store)
    before = time.monotonic()
    os.killpg(site.gateway.process.pid, signal.SIGINT)
    code = site.gateway.process.wait(10)
    return Ended(site, site.plant.truth(), code, time.monotonic() - before)
