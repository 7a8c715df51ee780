"""The record of counter registers that a meter showed: what delivered energy is compared with."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

LOG_MAX = 128


@dataclass(slots=True)
class ShownCounter:
    """First and last register shown [mWh] and the energy between them.

    `delivered_mwh` counts across a roll-over (`modulus_mwh`) and leaves out the step of a reset: it is what
    a reader who saw every register must arrive at.
    """

    modulus_mwh: int | None
    first_mwh: int | None = None
    last_mwh: int | None = None
    delivered_mwh: int = 0
    resets: int = 0
    _broken: bool = False

    def show(self, register_mwh: int) -> None:
        if self.first_mwh is None or self.last_mwh is None:
            self.first_mwh = register_mwh
        elif self._broken:
            self.resets += 1
        else:
            step = register_mwh - self.last_mwh
            self.delivered_mwh += step + self.modulus_mwh if step < 0 and self.modulus_mwh else step
        self.last_mwh = register_mwh
        self._broken = False

    def break_off(self) -> None:
        """The register was set by force: the step to its next value is not energy."""
        self._broken = True


@dataclass(slots=True)
class ShownRegisters:
    """All counters of one meter by quantity. `sums` names counters that the meter has only in parts.

    `log` holds the last answers as (t_ms, registers [mWh], in_order); an answer under a fault that makes it
    wrong is logged as not in order and leaves first, last and delivered alone.
    """

    counters: dict[str, ShownCounter]
    sums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    answers: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    log: deque[tuple[int, dict[str, int], bool]] = field(default_factory=lambda: deque(maxlen=LOG_MAX))

    def show(self, t_ms: int, registers_mwh: dict[str, int], *, in_order: bool) -> None:
        """One answer that carried counters."""
        self.log.append((t_ms, registers_mwh, in_order))
        if not in_order:
            return
        self.answers += 1
        self.first_ms = t_ms if self.first_ms is None else self.first_ms
        self.last_ms = t_ms
        for quantity, value in registers_mwh.items():
            self.counters[quantity].show(value)

    def break_off(self) -> None:
        for counter in self.counters.values():
            counter.break_off()

    def report(self) -> dict[str, Any]:
        """JSON-ready; a counter that exists in parts is given as their sum."""
        rows = {quantity: [counter] for quantity, counter in self.counters.items()}
        for quantity, parts in self.sums.items():
            rows[quantity] = [self.counters[part] for part in parts]
        return {
            "answers": self.answers,
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "counters": {quantity: _sum(parts) for quantity, parts in rows.items()},
            "log": [list(entry) for entry in self.log],
        }


def _sum(parts: list[ShownCounter]) -> dict[str, int | None]:
    known = [(p.first_mwh, p.last_mwh) for p in parts if p.first_mwh is not None and p.last_mwh is not None]
    whole = len(known) == len(parts)
    return {
        "first_mwh": sum(first for first, _ in known) if whole else None,
        "last_mwh": sum(last for _, last in known) if whole else None,
        "delivered_mwh": sum(p.delivered_mwh for p in parts),
        "resets": max(p.resets for p in parts),
    }
