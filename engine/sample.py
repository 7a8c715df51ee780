"""What goes into the engine and what comes out beside interval rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from engine.interval import IntervalRow

Mode = Literal["counters", "net", "integrate"]


@dataclass(frozen=True)
class DeviceConfig:
    """What the engine must know of a meter.

    The tuples are (import, export, reactive import, reactive export) in mWh or mvarh: `moduli_mwh` where a
    register rolls over (0 = unknown: 2^16, 2^32 and powers of ten of the resolution are tried), `resolution_mwh`
    what its last digit is worth, `tracked` which of them the meter has at all (mode "counters" only).
    Mode "net": one signed register, delivered as import. "integrate": no register, energy is ∫P.
    `line` names the line of registers (their layout, the meter's serial number): with another one, or another
    mode, a snapshot is not continued and the next reading is a new baseline.
    """

    meter: str
    interval_ms: int  # poll interval
    rated_power_mw: int | None = None
    mode: Mode = "counters"
    moduli_mwh: tuple[int, ...] = (0, 0, 0, 0)
    resolution_mwh: tuple[int, ...] = (1, 1, 1, 1)
    tracked: tuple[bool, ...] = (True, True, True, True)
    line: str = ""


@dataclass(slots=True)
class Sample:
    """One decoded reading: registers in mWh and mvarh, power in mW and mvar, None = not in this reading."""

    meter: str
    t_ms: int
    flags: int = 0
    import_mwh: int | None = None
    export_mwh: int | None = None
    reactive_import_mvarh: int | None = None
    reactive_export_mvarh: int | None = None
    power_mw: int | None = None
    reactive_mvar: int | None = None


@dataclass(frozen=True)
class Continuity:
    """A step that was not a plain one. `kind` is one of engine/event.py; before and after are registers [mWh].

    t_ms: the first odd reading; for `gap` and `counter_lost` the last good one; for `late` the first late one.
    data: `energy_mwh` (what was counted across the step), `until_ms` (the reading that decided); `gap` has
    `seconds`, `late` has `readings`.
    """

    meter: str
    t_ms: int
    kind: str
    quantity: str | None = None
    before: int | None = None
    after: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Closed:
    """What one call of `ingest` settled."""

    intervals: list[IntervalRow] = field(default_factory=list)
    continuity: list[Continuity] = field(default_factory=list)
