"""A plant on disk: site.toml, live file, real ledger, real uplink.db."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from engine.event import Event
from engine.interval import IntervalRow
from engine.reading import Column, Layout, Reading
from gateway.site.file import load
from gateway.site.settings import Settings
from gateway.store.commit import Boot, Commit
from gateway.store.log import Ledger
from gateway.store.rows import Attribution
from gateway.timespan import day_bounds, local_date, utc_text
from gateway.uplink.cursor import Changes, UplinkDb

MINUTE_MS = 60_000
LAYOUT = Layout((Column("active_power", "int32"), Column("active_energy_import", "uint64")))
METERS = (
    ("main-1", "Main incomer", "grid", None, 400),
    ("press-1", "Press 1", "load", "main-1", 250),
    ("press-2", "", "load", "main-1", 250),
    ("oven", "Curing oven", "load", "main-1", None),
)
SITE = """
[site]
id = "plant-7"
name = "{name}"
timezone = "{zone}"
language = "{language}"
energy_interval = "1m"
[store]
path = "store"
runtime = "run"
[web]
listen = "{listen}"
{web}
[[bus]]
id = "hall-a"
protocol = "modbus-tcp"
host = "10.0.0.7"
"""
METER = """
[[meter]]
id = "{id}"
name = "{name}"
bus = "hall-a"
address = {address}
profile = "eastron-sdm630"
role = "{role}"
"""


class Plant:
    """Everything that `web` reads, as its writers would have left it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_ms = time.time_ns() // 1_000_000
        self.meters: tuple[tuple[str, str, str, str | None, int | None], ...] = METERS
        self.name, self.zone, self.language = "Plant 7, Suzhou", "Asia/Shanghai", "en"
        self.listen, self.web = "127.0.0.1:0", ""
        self.powers = {"main-1": 182_400.0, "press-1": 96_250.0, "press-2": 0.0, "oven": 61_130.0}
        self.silent: dict[str, int] = {}  # meter → age of its last reading [ms]
        self.gas = "CO2"
        self.trouble: dict[str, dict[str, Any]] = {}
        self.quality: dict[str, list[str]] = {}
        self._ledger: Ledger | None = None

    def settings(self) -> Settings:
        text = SITE.format(name=self.name, zone=self.zone, language=self.language, web=self.web, listen=self.listen)
        for address, (id_, name, role, parent, rated) in enumerate(self.meters, 1):
            text += METER.format(id=id_, name=name, role=role, address=address)
            text += f'parent = "{parent}"\n' if parent else ""
            text += f'rated_power = "{rated} kW"\n' if rated else ""
        file = self.path / "site.toml"
        file.write_text(text)
        return load(file)

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def live_file(self) -> Path:
        return self.path / "run" / "live"

    def payload(self, meter: str, power_w: float, t_ms: int) -> dict[str, Any]:
        energy_wh = power_w * 9.25
        return {
            "meter": meter,
            "t": utc_text(t_ms),
            "values": {
                "active_power_w": power_w,
                "reactive_power_var": round(power_w * 0.31, 1),
                "power_factor": 0.955 if power_w else 1.0,
                "active_energy_import_wh": 123_456_780 + energy_wh,
            },
            "quality": self.quality.get(meter, []),
            "running": {
                "since": utc_text(self.midnight_ms),
                "active_energy_import_wh": max(0.0, energy_wh),
                "active_energy_export_wh": max(0.0, -energy_wh),
                "power_factor": 0.951,
                "demand_w": power_w,
                "co2e": [
                    {"kg": energy_wh * 0.0005306, "gas": self.gas, "profile": "ghgp-location",
                     "factor": "cn.grid.national.2023", "revision": 0}
                ],
            },
        }  # fmt: skip

    @property
    def midnight_ms(self) -> int:
        zone = ZoneInfo(self.zone)
        return day_bounds(local_date(self.now_ms, zone), zone)[0]

    def write_live(self, *, age_ms: int = 0, powers: dict[str, float] | None = None) -> None:
        """Replace the live file, as `collect` does twice a second; `age_ms` makes it look older."""
        t_ms = time.time_ns() // 1_000_000 - age_ms
        body = {
            "v": 1,
            "t": utc_text(t_ms),
            "boot": 3,
            "meters": {
                meter: self.payload(meter, power, t_ms - self.silent.get(meter, 400))
                for meter, power in (powers or self.powers).items()
            },
            "buses": {"hall-a": {"up": True, "utilisation": 42.0, "polls": 900, "skipped": 2, "late_ms": 0}},
            "trouble": self.trouble,
            "health": {},
        }
        self.live_file.parent.mkdir(exist_ok=True)
        fresh = self.live_file.with_name(".live.new")
        fresh.write_bytes(orjson.dumps(body))
        os.utime(fresh, ns=(t_ms * 1_000_000, t_ms * 1_000_000))
        fresh.replace(self.live_file)

    def ledger(self) -> Ledger:
        """The writer, open until the test ends."""
        if self._ledger is None:
            self._ledger = Ledger.open(self.store, site="plant-7", gateway="gw-1", now_ms=self.now_ms)
        return self._ledger

    def fill_ledger(self, *, minutes: int = 90, until_ms: int | None = None) -> None:
        """One-minute intervals of every meter up to now (or `until_ms`), some readings and events."""
        end_ms = (until_ms or self.now_ms) // MINUTE_MS * MINUTE_MS
        rows = [
            self.interval(meter, end_ms - (minutes - n) * MINUTE_MS, self.shape(n) * power)
            for n in range(minutes)
            for meter, power in self.powers.items()
        ]
        self.commit(intervals=rows, events=self.events(end_ms), boot=True)
        readings = [
            Reading(meter, end_ms + n, 1, 1000 + n, LAYOUT.digest, (int(power), 123_456_780))
            for n, (meter, power) in enumerate(self.powers.items())
        ]
        self.commit(readings=readings)

    @staticmethod
    def shape(n: int) -> float:
        """A load that moves: shifts, and presses that cycle."""
        return 0.55 + 0.3 * ((n // 23) % 3) / 2 + 0.15 * ((n * 7) % 11) / 11

    def interval(self, meter: str, start_ms: int, power_w: float, seconds: int = 60) -> IntervalRow:
        import_mwh = round(power_w * 1000 * seconds / 3600)
        return IntervalRow(meter, start_ms, seconds, import_mwh, 0, import_mwh // 3, 0, None, 6, 6, 0)

    def events(self, end_ms: int) -> list[Event]:
        return [
            Event(end_ms - 7_200_000, "boot"),
            Event(end_ms - 3_600_000, "meter_silent", meter="oven", data={"reason": "no answer within 1 s"}),
            Event(end_ms - 3_540_000, "meter_back", meter="oven", data={"seconds": 60}),
            Event(end_ms - 900_000, "bus_down", bus="hall-a", data={"reason": "connection refused"}),
            Event(end_ms - 880_000, "bus_up", bus="hall-a"),
        ]

    def commit(
        self,
        *,
        readings: list[Reading] | None = None,
        intervals: list[IntervalRow] | None = None,
        events: list[Event] | None = None,
        boot: bool = False,
    ) -> None:
        attributions = {id_: Attribution(role, parent) for id_, _, role, parent, _ in self.meters}
        self.ledger().commit(
            Commit(
                self.now_ms,
                1,
                readings=readings or [],
                intervals=intervals or [],
                events=events or [],
                layouts=[LAYOUT],
                attributions=attributions,
                boot=Boot(1, self.now_ms, "0") if boot else None,
            )
        )

    def write_uplink(self, *, waiting: int = 0, **changes: Any) -> None:
        """What `uplink` keeps about itself, through its own writer."""
        state = {
            "v": 1, "pid": os.getpid(), "broker": "mqtts://broker.example:8883", "proof": "puback-5",
            "connected": True, "since_ms": self.now_ms, "epoch": 1, "error": None, "notices": [],
            "streams": {
                stream: {"last_seq": 5000, "cursor": 5000 - waiting, "waiting": waiting, "no_subscriber": False,
                         "stuck": False, "history_differs": False}
                for stream in ("intervals", "events", "readings")
            },
        } | changes  # fmt: skip
        directory = self.settings().store.uplink_dir
        directory.mkdir(parents=True, exist_ok=True)
        db = UplinkDb.open(directory)
        db.save(Changes(self.now_ms, state=state))
        db.close()

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    plant.close()


@pytest.fixture
def basic() -> Callable[[str, str], dict[str, str]]:
    """The header of HTTP Basic for a user and a password."""

    def header(user: str, password: str) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    return header


@pytest.fixture
def noon_ms() -> int:
    """2026-11-20 12:00 in Shanghai."""
    return int(datetime(2026, 11, 20, 4, tzinfo=UTC).timestamp() * 1000)
