"""A plant on its wires: from specifications to running servers, endpoints and a site.toml."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

from engine.errors import StoreError
from simulators.load_shape import Load
from simulators.metering_point import MeteringPoint
from simulators.modbus_meter import Framing, Line, PtyLine, TcpLine
from simulators.plant import ClockMs, Plant
from simulators.register_map import RegisterMap, load_map
from simulators.sim_feeder import SimFeeder, load_points
from simulators.sim_meter import SimMeter

WireProtocol = Literal["modbus-tcp", "modbus-rtu-tcp", "modbus-rtu", "iec104"]


class _Common(TypedDict):
    start_ms: int
    utc_offset_ms: int
    step_ms: int



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
    """One bus and its meters; `unit` is the common address on IEC 104, where a wire carries one meter. Port 0
    takes a free one. With `baud` a serial line is as slow as a real one."""

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


class StationLine:
    """The station of one feeder, with the manners of the other lines."""

    def __init__(self, feeder: SimFeeder, host: str) -> None:
        self.host = host
        self._station = feeder.station

    @property
    def port(self) -> int:
        return self._station.port

    async def start(self) -> None:
        await self._station.start()

    async def close(self) -> None:
        await self._station.stop()


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
        step_ms: int = 1000,
        profiles: Path | None = None,
    ) -> None:
        self.site = site
        self.specs = tuple(wires)
        self._host = host
        self._clock = clock
        self._profiles = profiles
        self._more: _Common = {"start_ms": clock(), "utc_offset_ms": utc_offset_ms, "step_ms": step_ms}
        self._maps: dict[str, RegisterMap] = {}
        self._lines: dict[str, TcpLine | PtyLine | StationLine] = {}
        meters: list[MeteringPoint] = []
        for spec in wires:
            line, behind = self._build(spec, seed + len(meters))
            self._lines[spec.id] = line
            meters += behind
        self.plant = Plant(meters, clock)

    def _build(
        self, spec: WireSpec, seed: int
    ) -> tuple[TcpLine | PtyLine | StationLine, Sequence[MeteringPoint]]:
        """A line, not yet open, and the meters on it."""
        if spec.protocol == "iec104":
            feeder = self._feeder(spec, seed)
            return StationLine(feeder, self._host), [feeder]
        meters = [self._meter(meter, seed + number) for number, meter in enumerate(spec.meters)]
        units = {meter.unit: built for meter, built in zip(spec.meters, meters, strict=True)}
        line = Line(units, self._clock)
        if spec.protocol == "modbus-rtu":
            return PtyLine(line, baud=spec.baud), meters
        framing: Framing = "mbap" if spec.protocol == "modbus-tcp" else "rtu"
        return TcpLine(line, framing, host=self._host, port=spec.port), meters

    def _meter(self, spec: MeterSpec, seed: int) -> SimMeter:
        if spec.profile not in self._maps:
            self._maps[spec.profile] = load_map(spec.profile, self._profiles)
        return SimMeter(
            spec.id, self._maps[spec.profile], spec.load, seed=seed, starts_mwh=spec.starts_mwh,
            scales=spec.scales, **self._more,
        )  # fmt: skip

    def _feeder(self, spec: WireSpec, seed: int) -> SimFeeder:
        if len(spec.meters) != 1:
            raise ValueError(f"station {spec.id!r} carries one feeder, not {len(spec.meters)}")
        (meter,) = spec.meters
        return SimFeeder(
            meter.id, load_points(meter.profile, self._profiles), meter.load, self._clock, host=self._host,
            port=spec.port, common_address=meter.unit, seed=seed, starts_mwh=meter.starts_mwh, **self._more,
        )  # fmt: skip

    async def start(self) -> None:
        """Open every wire. Raises OSError if a port is taken; nothing stays open then."""
        try:
            for line in self._lines.values():
                await line.start()
        except OSError:
            await self.close()
            raise

    async def close(self) -> None:
        for line in self._lines.values():
            await line.close()

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
        line = self._lines[spec.id]
        if isinstance(line, PtyLine):
            return {"device": line.path, **({"baud": spec.baud} if spec.baud else {})}
        return {"host": line.host, "port": line.port}

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
