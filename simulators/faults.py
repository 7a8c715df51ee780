"""Faults on demand: what a simulated meter does wrong, when, and for how long.

A fault is written `meter:kind[=value][@start][+duration]`, times with unit (`500ms`, `20s`, `2m`), counted
from the start of the simulation: `press-1:silent@20s+15s`, `press-1:exception=6`, `*:late=300ms@1m`.
Without `@` it starts at once, without `+` it stays. `meter:clear` ends all of a meter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.errors import ConfigError

# What each kind does; the value's default where it takes one.
WIRE_KINDS: dict[str, str] = {
    "silent": "no answer",
    "late": "answers after =value (default 1500ms)",
    "exception": "answers with exception code =value (default 4)",
    "length": "two register bytes too few, with a byte count that agrees with them",
    "count": "a byte count that disagrees with the bytes that follow",
    "unit": "answers under the next unit id",
    "function": "answers with the other read function",
    "transaction": "answers with the next transaction number (TCP framing only)",
    "noise": "a burst of up to 16 flipped bits: in the frame on RTU, in the header on TCP",
    "split": "sends the answer in three pieces, 20 ms apart",
    "merged": "sends its previous answer again, and this one in the same write",
}
VALUE_KINDS: dict[str, str] = {
    "nan": "float registers are NaN, integer registers their missing marker",
    "zero": "energy counters show 0",
    "stuck": "all registers keep what they showed when the fault began",
}
STEP_KINDS: dict[str, str] = {
    "reset": "the energy counters start again from 0, once",
    "rollover": "the energy counters stand =value Wh (default 100) below their modulus, once",
}
KINDS = {**WIRE_KINDS, **VALUE_KINDS, **STEP_KINDS}
_DEFAULTS = {"late": 1500, "exception": 4, "rollover": 100}
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_TIME = r"\d+(?:ms|s|m|h)"
_GRAMMAR = re.compile(
    rf"(?P<meter>\*|[a-z0-9][a-z0-9-]*):(?P<kind>[a-z]+)(?:=(?P<value>\d+(?:ms|s|m|h)?))?"
    rf"(?:@(?P<start>{_TIME}))?(?:\+(?P<duration>{_TIME}))?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one meter, in force for start_ms <= t < end_ms (UTC; end None = for good)."""

    kind: str
    start_ms: int
    end_ms: int | None = None
    value: int = 0  # late: ms; exception: code; rollover: Wh

    def active(self, t_ms: int) -> bool:
        return self.start_ms <= t_ms and (self.end_ms is None or t_ms < self.end_ms)


@dataclass(slots=True)
class FaultBook:
    """The faults of one meter. `steps` (reset, rollover) happen once and are then gone."""

    faults: list[Fault] = field(default_factory=list)
    steps: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Put a fault in force or on schedule. Raises ValueError on an unknown kind."""
        if fault.kind not in KINDS:
            raise ValueError(f"unknown fault {fault.kind!r}: one of {', '.join(KINDS)}")
        (self.steps if fault.kind in STEP_KINDS else self.faults).append(fault)

    def clear(self) -> None:
        self.faults.clear()
        self.steps.clear()

    def active(self, t_ms: int) -> dict[str, Fault]:
        """The faults in force at `t_ms` by kind; what has ended is forgotten."""
        if not self.faults:
            return {}
        self.faults = [f for f in self.faults if f.end_ms is None or t_ms < f.end_ms]
        return {f.kind: f for f in self.faults if f.active(t_ms)}

    def due_steps(self, t_ms: int) -> list[Fault]:
        """Take out the steps that are due, in the order of their time."""
        if not self.steps:
            return []
        due = sorted((f for f in self.steps if f.start_ms <= t_ms), key=lambda f: f.start_ms)
        self.steps = [f for f in self.steps if f.start_ms > t_ms]
        return due


@dataclass(frozen=True, slots=True)
class Order:
    """A parsed line: a fault for one meter or for all (`*`); `fault` None = clear."""

    meter: str
    fault: Fault | None


def parse_order(text: str, origin_ms: int) -> Order:
    """`press-1:silent@20s+15s` with times from `origin_ms`. Raises ConfigError."""
    match = _GRAMMAR.fullmatch(text.strip())
    kind = match["kind"] if match else ""
    if match is None or (kind != "clear" and kind not in KINDS):
        raise ConfigError(
            f"fault {text.strip()!r} is not understood",
            hint='write "meter:kind@start+duration", e.g. "press-1:silent@20s+15s"; '
            f"kinds: {', '.join(KINDS)}, clear",
        )
    if kind == "clear":
        return Order(match["meter"], None)
    start = origin_ms + _ms(match["start"] or "0s")
    end = start + _ms(match["duration"]) if match["duration"] else None
    value = _ms(match["value"]) if match["value"] else _DEFAULTS.get(kind, 0)
    return Order(match["meter"], Fault(kind, start, end, value))


def apply_order(order: Order, books: dict[str, FaultBook]) -> None:
    """Enter an order into the books of its meters. Raises ConfigError if no meter has that name."""
    names: Iterable[str] = books if order.meter == "*" else [order.meter]
    for name in names:
        if name not in books:
            raise ConfigError(f"no simulated meter is called {name!r}", hint=f"there are: {', '.join(books)}")
        if order.fault is None:
            books[name].clear()
        else:
            books[name].add(order.fault)


def _ms(text: str) -> int:
    """`15s` → 15000; a bare number stays as it is."""
    digits = text.rstrip("mhs")
    return int(digits) * _UNITS[text[len(digits) :]] if len(digits) < len(text) else int(text)
