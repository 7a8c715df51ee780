"""A plant on its wires: from specifications to running servers, endpoints and a site.toml."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.errors import StoreError
from simulators.load_shape import Load
from simulators.modbus_meter import Line, PtyLine, TcpLine
from simulators.plant import ClockMs, Plant
from simulators.register_map import load_map
from simulators.sim_meter import SimMeter

WireProtocol = Literal["modbus-tcp", "modbus-rtu-tcp", "modbus-rtu"]


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """One meter as it is to be built and as site.toml shall name it."""

    id: str
    profile: str
    load: Load
    unit: int = 1
    name: str = ""
    interval: str = "1s"
    rated_power: str = "250 kW"
    role: str = "load"
    parent: str = ""
    starts_mwh: Mapping[str, int] = field(default_factory=dict)
    scales: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WireSpec:
    """One bus and its meters. Port 0 takes a free one. With `baud` a serial line is as slow as a real one."""

    id: str
    protocol: WireProtocol
    meters: tuple[MeterSpec, ...]
    port: int = 0
    baud: int | None = None


@dataclass(frozen=True, slots=True)
class SiteSpec:
    """The [site] table of the generated site.toml."""

    id: str = "demo"
    name: str = ""
    timezone: str = "UTC"
    language: str = "en"
    energy_interval: str = "10s"


class Wire(Protocol):
    """A started or startable server."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...


class Simulation:
    """Everything of one simulated site inside one asyncio loop: `await start()`, later `await close()`."""

    def __init__(
        self,
        site: SiteSpec,
        wires: Sequence[WireSpec],
        clock: ClockMs,
        *,
        seed: int = 0,
        host: str = "127.0.0.1",
        utc_offset_ms: int = 0,
        profiles: Path | None = None,
    ) -> None:
        self.site = site
        self.specs = tuple(wires)
        self.host = host
        start_ms = clock()
        maps = {name: load_map(name, profiles) for name in {m.profile for w in wires for m in w.meters}}
        meters = [
            SimMeter(
                spec.id, maps[spec.profile], spec.load, start_ms=start_ms, seed=seed + number,
                starts_mwh=spec.starts_mwh, scales=spec.scales, utc_offset_ms=utc_offset_ms,
            )
            for number, spec in enumerate(m for w in wires for m in w.meters)
        ]  # fmt: skip
        self.plant = Plant(meters, clock)
        self._wires: dict[str, TcpLine | PtyLine] = {spec.id: self._wire(spec) for spec in wires}

    def _wire(self, spec: WireSpec) -> TcpLine | PtyLine:
        line = Line({meter.unit: self.plant.meters[meter.id] for meter in spec.meters}, self.plant.clock)
        if spec.protocol == "modbus-rtu":
            return PtyLine(line, baud=spec.baud)
        framing: Literal["mbap", "rtu"] = "mbap" if spec.protocol == "modbus-tcp" else "rtu"
        return TcpLine(line, framing, host=self.host, port=spec.port)

    async def start(self) -> None:
        """Open every wire. Raises OSError if a port is taken; nothing stays open then."""
        try:
            for wire in self._wires.values():
                await wire.start()
        except OSError:
            await self.close()
            raise

    async def close(self) -> None:
        for wire in self._wires.values():
            await wire.close()

    def endpoints(self) -> list[dict[str, Any]]:
        """JSON-ready: where each bus is reached and which meters answer there. Valid once started."""
        return [
            {
                "bus": spec.id,
                "protocol": spec.protocol,
                **self._address(spec),
                "meters": [{"id": m.id, "unit": m.unit, "profile": m.profile} for m in spec.meters],
            }
            for spec in self.specs
        ]

    def _address(self, spec: WireSpec) -> dict[str, Any]:
        wire = self._wires[spec.id]
        if isinstance(wire, PtyLine):
            return {"device": wire.path, **({"baud": spec.baud} if spec.baud else {})}
        return {"host": wire.host, "port": wire.port}

    def site_toml(self) -> str:
        """[site], [[bus]] and [[meter]] of a site.toml that polls these meters. Valid once started."""
        tables = [_table("[site]", {
            "id": self.site.id, "name": self.site.name, "timezone": self.site.timezone,
            "language": self.site.language, "energy_interval": self.site.energy_interval,
        })]  # fmt: skip
        for spec in self.specs:
            address = self._address(spec)
            tables.append(_table("[[bus]]", {"id": spec.id, "protocol": spec.protocol, **address}))
            tables += [
                _table("[[meter]]", {
                    "id": m.id, "name": m.name, "bus": spec.id, "address": m.unit, "profile": m.profile,
                    "interval": m.interval, "rated_power": m.rated_power, "parent": m.parent, "role": m.role,
                })
                for m in spec.meters
            ]  # fmt: skip
        return "\n".join(tables)


def _table(head: str, entries: Mapping[str, object]) -> str:
    """A TOML table; empty texts are left out. A JSON string is a TOML basic string as well."""
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items() if value != ""
    ]
    return "\n".join([head, *lines, ""])


def write_truth(plant: Plant, path: Path) -> None:
    """Write the report of energy and registers shown; a reader never sees half a file. Raises StoreError."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(plant.truth()), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise StoreError(
            f"the truth cannot be written to {path}: {error}", hint=f"look at: ls -ld {path.parent}"
        ) from error
