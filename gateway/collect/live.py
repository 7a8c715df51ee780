"""The live file: the last reading of every meter and the engine's running figures, for eyes only.

Rewritten by atomic rename; readers look every 200 ms. Live topic, SSE and `read` carry the same payload.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from engine.carbon import co2_ng, kg, kg_per_h
from engine.interval import Running
from engine.power_factor import power_factor
from engine.reading import Reading
from gateway.collect.points import Metered
from gateway.store.rows import FactorRef, reading_row, scaled, utc_ms
from gateway.timespan import day_bounds, local_date

log = logging.getLogger("wattledger.collect")
HEARTBEAT_MS = 1000


class Midnight:
    """Local midnight before now, looked up once a day."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._from_ms = self._until_ms = 0

    def before(self, now_ms: int) -> int:
        """UTC ms of the last local midnight."""
        if not self._from_ms <= now_ms < self._until_ms:
            self._from_ms, self._until_ms = day_bounds(local_date(now_ms, self._zone), self._zone)
        return self._from_ms


def running_figures(running: Running, factors: Sequence[FactorRef]) -> dict[str, Any]:
    """The `running` object of a live payload. What is not known is absent."""
    figures: dict[str, Any] = {"since": utc_ms(running.since_ms)}
    for key, value in (
        ("active_energy_import_wh", running.import_mwh),
        ("active_energy_export_wh", running.export_mwh),
        ("reactive_energy_import_varh", running.reactive_import_mvarh),
        ("reactive_energy_export_varh", running.reactive_export_mvarh),
        ("demand_w", running.demand_mw),
    ):
        if value is not None:
            figures[key] = scaled(value, 1000)
    factor_of_power = power_factor(
        running.import_mwh, running.export_mwh, running.reactive_import_mvarh, running.reactive_export_mvarh
    )
    if factor_of_power is not None:
        figures["power_factor"] = round(factor_of_power, 4)
    if running.import_mwh is not None:
        figures["co2e"] = [
            {
                "kg": kg(co2_ng(running.import_mwh, ref.factor)),
                "gas": ref.factor.gas,
                "profile": ref.profile,
                "factor": ref.factor.id,
                "revision": ref.factor.revision,
            }
            for ref in factors
        ]
    if running.power_mw is not None and factors:
        figures["co2e_kg_per_h"] = kg_per_h(running.power_mw, factors[0].factor)
    return figures


class Live:
    """Keeps the newest reading per meter and writes the file. Only meters that changed are encoded again."""

    def __init__(
        self,
        path: Path,
        boot_id: int,
        running: Callable[[str, int], Running],
        meters: Mapping[str, Metered],
        factors: Sequence[FactorRef],
        zone: ZoneInfo,
    ) -> None:
        self._path, self._boot = path, boot_id
        self._fresh = path.with_name(f".{path.name}.new")
        self._running, self._meters, self._factors = running, meters, factors
        self._midnight = Midnight(zone)
        self._changed: dict[str, Reading] = {}
        self._last: dict[str, Reading] = {}
        self._since_ms = 0
        self._payloads: dict[str, orjson.Fragment] = {}
        self._written_ms = 0
        self._writable = True
        path.parent.mkdir(parents=True, exist_ok=True)

    def show(self, reading: Reading) -> None:
        """A newer reading of its meter. A sparse one (IEC 104) completes what the meter sent before."""
        metered = self._meters[reading.meter]
        if None in reading.columns and metered.sparse:
            before = self._last.get(reading.meter)
            if before is not None:
                columns = [b if a is None else a for a, b in zip(reading.columns, before.columns, strict=True)]
                reading = reading._replace(columns=tuple(columns))
        self._last[reading.meter] = self._changed[reading.meter] = reading

    def payload(self, reading: Reading, now_ms: int) -> dict[str, Any]:
        """A reading row without `seq`, plus `running`."""
        running = self._running(reading.meter, self._midnight.before(now_ms))
        return {
            **reading_row(None, reading, self._meters[reading.meter].converter),
            "running": running_figures(running, self._factors),
        }

    def write(
        self, now_ms: int, buses: Mapping[str, Any], trouble: Mapping[str, Any], health: Mapping[str, Any]
    ) -> None:
        """Replace the file if something changed, and once a second all the same. Droppable: no fsync.

        A disk that does not take it is told once and costs no reading.
        """
        if not self._changed and now_ms - self._written_ms < HEARTBEAT_MS:
            return
        changed, self._changed = self._changed, {}
        if self._midnight.before(now_ms) != self._since_ms:  # a new day begins for silent meters as well
            self._since_ms = self._midnight.before(now_ms)
            changed = dict(self._last)
        for meter, reading in changed.items():
            self._payloads[meter] = orjson.Fragment(orjson.dumps(self.payload(reading, now_ms)))
        body = {
            "v": 1, "t": utc_ms(now_ms), "boot": self._boot, "meters": self._payloads, "buses": buses,
            "trouble": trouble, "health": health,
        }  # fmt: skip
        try:
            self._fresh.write_bytes(orjson.dumps(body))
            os.replace(self._fresh, self._path)
        except OSError as error:
            if self._writable:
                log.error("%s: %s; see what fills it: df -h %s", self._path, error.strerror, self._path.parent)
            self._writable = False
            return
        self._writable, self._written_ms = True, now_ms

    def remove(self) -> None:
        """After a clean stop nothing is live."""
        self._path.unlink(missing_ok=True)
