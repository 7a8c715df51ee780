"""A metering point behind an IEC 104 station: its measured values and counters as information objects."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from engine.errors import ConfigError
from simulators.iec104_points import Key, PointSource
from simulators.iec104_station import Iec104Station
from simulators.load_shape import Load
from simulators.metering_point import MeteringPoint
from simulators.physics import SUBUNITS
from simulators.plant import ClockMs
from simulators.register_map import profiles_dir

PointKind = Literal["float", "scaled", "normalized", "counter"]
INVALID = 0x80  # bit IV of every quality octet


@dataclass(frozen=True, slots=True)
class Point:
    """One row of a point map: `scale` = SI units per count, per 1.0 or per unit of the float."""

    quantity: str
    ioa: int
    kind: PointKind
    scale: Fraction


def load_points(profile: str, directory: Path | None = None) -> tuple[Point, ...]:
    """The point map `{profile}.toml`. Raises ConfigError."""
    path = (directory or profiles_dir()) / f"{profile}.toml"
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)["readings"]
        if unknown := {row["type"] for row in rows} - set(get_args(PointKind)):
            raise ValueError(f"no types of points: {', '.join(sorted(unknown))}")
        return tuple(Point(r["quantity"], r["ioa"], r["type"], Fraction(r.get("scale", 1))) for r in rows)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is not a point map: {error!r}", hint="see the head of drivers/profile.py") from error


class SimFeeder(MeteringPoint):
    """A metering point alone on a station. It plays the faults `silent` and `nan` (quality bit IV), which begin
    and end with the plant's next `advance`, and counts what the station sent."""

    kinds = frozenset({"silent", "nan"})

    def __init__(
        self,
        id_: str,
        points: tuple[Point, ...],
        load: Load,
        clock: ClockMs,
        *,
        common_address: int,
        start_ms: int,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        starts_mwh: Mapping[str, int] | None = None,
        utc_offset_ms: int = 0,
        step_ms: int = 1000,
    ) -> None:
        super().__init__(
            id_, load, start_ms=start_ms, seed=seed, starts_mwh=starts_mwh, utc_offset_ms=utc_offset_ms,
            step_ms=step_ms,
        )  # fmt: skip
        self._clock = clock
        self._points: dict[Key, Point] = {
            (common_address, point.ioa): point for point in points if self.value(point.quantity) is not None
        }
        sources = {key: PointSource(point.kind, self._source(point)) for key, point in self._points.items()}
        self.station = Iec104Station(sources, clock_ms=clock, host=host, port=port, spontaneous_s=1)

    def _source(self, point: Point) -> Callable[[], float]:
        """What the station asks for a value: counts of a counter as a whole number, a float in the map's unit."""
        subs = point.scale * SUBUNITS[point.quantity]

        def value() -> float:
            self.advance(self._clock())
            measured = self.value(point.quantity) or 0
            if point.kind == "counter":
                return measured * subs.denominator // subs.numerator
            return round(measured / subs) if point.kind == "scaled" else float(measured / subs)

        return value

    def advance(self, t_ms: int) -> None:
        super().advance(t_ms)
        active = self.faults.active(t_ms)
        self.station.faults.silent = "silent" in active
        self.station.faults.quality = INVALID if "nan" in active else 0

    def report(self) -> dict[str, Any]:
        """As of every meter; what was sent under a fault is in it, and there is no log of single answers."""
        counters = {}
        for key, shown in self.station.shown.items():
            lsb = self._points[key].scale * 1000
            counters[self._points[key].quantity] = {
                "first_mwh": round(shown.first * lsb),
                "last_mwh": round(shown.last * lsb),
                "delivered_mwh": round(shown.delivered * lsb),
                "resets": 0,
            }
        return {"counters": counters}
