"""Which meters and buses are well. Turns single answers and misses into events that do not flap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.errors import BadFrame, DriverError, Implausible, LinkDown, Refused
from engine.event import Event

SHORT_INTERVAL_MS = 10_000


@dataclass(slots=True)
class _Health:
    failures: int = 0
    since_ms: int = 0
    told: bool = False
    reason: str = ""
    hint: str = ""


@dataclass(slots=True)
class Watch:
    """State per meter and bus; `tell` receives each event once.

    Silence is told at the first missed tick; of meters polled faster than every 10 s at the second,
    because one lost answer a day on a serial line is weather.
    """

    tell: Callable[[Event], None]
    meters: dict[str, _Health] = field(default_factory=dict)
    buses: dict[str, _Health] = field(default_factory=dict)

    def answered(self, meter: str, now_ms: int) -> None:
        health = self.meters.setdefault(meter, _Health())
        if health.told:
            seconds = (now_ms - health.since_ms) // 1000
            self.tell(Event(now_ms, "meter_back", meter=meter, data={"seconds": seconds}))
        if health.failures:
            self.meters[meter] = _Health()

    def failed(self, meter: str, interval_ms: int, error: DriverError, now_ms: int) -> None:
        health = self.meters.setdefault(meter, _Health())
        health.failures += 1
        if health.failures == 1:
            health.since_ms = now_ms
        health.reason, health.hint = str(error), error.hint
        if isinstance(error, LinkDown) or health.told:
            return
        if health.failures >= 2 or interval_ms >= SHORT_INTERVAL_MS:
            health.told = True
            kind = "bad_answer" if isinstance(error, BadFrame | Refused | Implausible) else "meter_silent"
            self.tell(Event(health.since_ms, kind, meter=meter, data={"reason": str(error), "hint": error.hint}))

    def bus(self, bus: str, up: bool, reason: str, now_ms: int, hint: str = "") -> None:
        health = self.buses.setdefault(bus, _Health())
        if not up and not health.told:
            health.told, health.since_ms = True, now_ms
            data = {"reason": reason, "hint": hint} if hint else {"reason": reason}
            self.tell(Event(now_ms, "bus_down", bus=bus, data=data))
        elif up and health.told:
            self.buses[bus] = _Health()
            seconds = (now_ms - health.since_ms) // 1000
            self.tell(Event(now_ms, "bus_up", bus=bus, data={"seconds": seconds}))

    def bus_up(self, bus: str) -> bool:
        health = self.buses.get(bus)
        return health is None or not health.told

    def trouble(self) -> dict[str, dict[str, str | int]]:
        """Meters that fail now: since when and why, for the live file."""
        return {
            meter: {"since_ms": h.since_ms, "reason": h.reason, "hint": h.hint}
            for meter, h in self.meters.items()
            if h.failures
        }
