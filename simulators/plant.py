"""A plant: simulated meters on one clock, and the report of what they truly measured and showed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from engine.errors import ConfigError
from simulators.faults import apply_order, parse_order
from simulators.metering_point import MeteringPoint
from simulators.true_energy import INTEGRALS, MWMS_PER_MWH, Totals

ClockMs = Callable[[], int]


def steady_clock() -> ClockMs:
    """UTC ms: wall time now, carried on by the monotonic clock, so it never goes back."""
    offset_ns = time.time_ns() - time.monotonic_ns()
    return lambda: (time.monotonic_ns() + offset_ns) // 1_000_000


class Plant:
    """Meters by id on one injected clock (a callable that gives UTC ms)."""

    def __init__(self, meters: Iterable[MeteringPoint], clock: ClockMs) -> None:
        self.clock = clock
        self.start_ms = clock()
        self.meters: dict[str, MeteringPoint] = {}
        for meter in meters:
            if meter.id in self.meters:
                raise ValueError(f"two simulated meters are called {meter.id!r}")
            self.meters[meter.id] = meter

    def order(self, text: str, origin_ms: int | None = None) -> None:
        """Put a fault in force: `press-1:silent@20s+15s`, times from `origin_ms` (default now).

        Raises ConfigError.
        """
        order = parse_order(text, self.clock() if origin_ms is None else origin_ms)
        able = {
            id_: meter.faults
            for id_, meter in self.meters.items()
            if order.fault is None or order.fault.kind in meter.kinds
        }
        if order.fault is not None and order.meter in self.meters and order.meter not in able:
            raise ConfigError(
                f"{order.meter} cannot play the fault {order.fault.kind}",
                hint=f"meters that can: {', '.join(able) or 'none'}",
            )
        apply_order(order, able)

    def advance(self) -> None:
        """Bring every meter to now, so that no request has much to catch up."""
        now_ms = self.clock()
        for meter in self.meters.values():
            meter.advance(now_ms)

    def truth(self) -> dict[str, Any]:
        """JSON-ready: per meter its true energy since the start [mWh, floor] and the registers it showed."""
        return {
            "v": 1,
            "t_ms": self.clock(),
            "meters": {
                id_: {
                    "true_mwh": _floors(meter.energy.totals),
                    **meter.report(),
                }
                for id_, meter in self.meters.items()
            },
        }


def _floors(totals: Totals) -> dict[str, int]:
    return {name: total // MWMS_PER_MWH for name, total in zip(INTEGRALS, totals, strict=True)}
