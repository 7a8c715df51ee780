"""SiteView: all that the page can ask, put together from the three sources; blocking reads in one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from engine.errors import StoreError
from gateway.site.settings import Settings
from gateway.store.rows import Row
from gateway.timespan import day_bounds, local_date, utc_text
from gateway.web.load import read_curve
from gateway.web.sources import Ledger, Live
from gateway.web.status import collect_state, level, meter_states, sentence
from gateway.web.storage import Storage, look_at_storage
from gateway.web.upload import Upload, upload_of

T = TypeVar("T")


@dataclass(frozen=True)
class SiteView:
    """`uplink_state` reads what the uplink keeps about itself (a dict, or None before its first run)."""

    settings: Settings
    live: Live
    ledger: Ledger
    uplink_state: Callable[[Path], dict[str, Any] | None]
    now_ms: Callable[[], int]
    reading: ThreadPoolExecutor  # one worker: a reader of the ledger is asked one thing at a time
    version: str
    birth: str  # tells one run of the server from the next

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.site.timezone)

    async def ask(self, read: Callable[[], T]) -> T:
        """Run a blocking read of a file in the reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self.reading, read)

    async def status(self) -> Row:
        """The status document (`/api/v1/status`)."""
        upload, storage = await self.ask(self._look)
        live = self.live.read()
        age_ms = self.live.age_ms()
        collect = collect_state(live, age_ms)
        meters = meter_states({m.id: m.interval for m in self.settings.meter}, live)
        parts = sentence(collect, meters, upload, storage)
        site = self.settings.site
        return {
            "v": 1,
            "t": utc_text(self.now_ms()),
            "version": self.version,
            "server": self.birth,
            "site": {
                "id": site.id,
                "name": site.name,
                "gateway": site.gateway,
                "timezone": site.timezone,
                "language": site.language,
                "energy_interval_s": site.energy_interval // 1000,
            },
            "level": level(parts),
            "sentence": [asdict(part) for part in parts],
            "collect": {"state": collect, "age_ms": age_ms, "boot": live["boot"] if live else None},
            "meters": asdict(meters),
            "total": total_of(self.settings),
            "carbon": {"factor": self.settings.carbon.factor, "gas": gas_of(live)},
            "upload": asdict(upload),
            "storage": asdict(storage),
        }

    def meters(self) -> list[Row]:
        """What site.toml says of each meter, and its live payload (`/api/v1/meters`)."""
        body = self.live.read()
        payloads = body["meters"] if body else {}
        trouble = (body or {}).get("trouble", {})
        rows = []
        for meter in self.settings.meter:
            row: Row = {
                "id": meter.id,
                "name": meter.name,
                "bus": self.settings.bus_of(meter),
                "profile": meter.profile,
                "role": meter.role,
                "interval_s": meter.interval / 1000,
                "live": payloads.get(meter.id),
            }
            if meter.parent is not None:
                row["parent"] = meter.parent
            if meter.rated_power is not None:
                row["rated_power_w"] = meter.rated_power / 1000
            if meter.id in trouble:
                row["trouble"] = trouble[meter.id]
            rows.append(row)
        return rows

    async def load(self, day: date | None, meter: str | None) -> Row:
        """The load curve of a local day, of one meter or of the site (`/api/v1/load`)."""
        wanted = day or local_date(self.now_ms(), self.zone)
        from_ms, to_ms = day_bounds(wanted, self.zone)
        until_ms = max(from_ms, min(to_ms, self.now_ms()))
        of = [meter] if meter else total_of(self.settings)["of"]
        interval_ms = self.settings.site.energy_interval
        curve = await self.ask(lambda: read_curve(self.ledger, of, from_ms, until_ms, interval_ms))
        return {
            "day": wanted.isoformat(),
            "timezone": self.settings.site.timezone,
            "of": of,
            "from": utc_text(from_ms),
            "to": utc_text(to_ms),
            "since": utc_text(curve.since_ms),
            "step_s": curve.step_s,
            "mean_power_w": curve.mean_power_w,
            "coverage": curve.coverage,
        }

    def knows(self, meter: str) -> bool:
        """Configured now, or once: the ledger keeps what a removed meter measured. Blocking."""
        if meter in self.settings.meters:
            return True
        return bool(self.ledger.query("select 1 from meters where id = ?", (meter,)))

    def _look(self) -> tuple[Upload, Storage]:
        return self._upload(), look_at_storage(self.ledger, self.settings.store.path)

    def _upload(self) -> Upload:
        try:
            return upload_of(self.uplink_state(self.settings.store.uplink_dir), self.settings)
        except StoreError as error:
            both = {"en": str(error), "zh": str(error)}, {"en": error.hint, "zh": error.hint}
            return Upload("stopped", self.settings.mqtt.url, detail=both[0], hint=both[1])


def total_of(settings: Settings) -> Row:
    """Which meters stand for the site: those at the grid; where there is none, the loads without a parent."""
    grid = [meter.id for meter in settings.meter if meter.role == "grid"]
    if grid:
        return {"basis": "grid", "of": grid}
    loads = [meter.id for meter in settings.meter if meter.role == "load" and meter.parent is None]
    return {"basis": "loads", "of": loads}


def gas_of(live: Row | None) -> str | None:
    """CO2 or CO2e, as the factor in force says; None while no figure has come."""
    for payload in (live or {}).get("meters", {}).values():
        for figure in payload.get("running", {}).get("co2e", []):
            return str(figure["gas"])
    return None
