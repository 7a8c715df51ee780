"""IntervalRow: the closed energy interval of one meter, as the engine gives it and the log keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Part:
    """What one quality class contributes to an interval."""

    readings: int
    import_mwh: int


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """Energies in mWh / mvarh, None = not known. `demand_mw` (milliwatt) only where a 15-min block ends.

    `valid` of `due` readings came. `parts` maps a Quality bit to its share, only where flags are set.
    """

    meter: str
    start_ms: int
    seconds: int
    import_mwh: int | None
    export_mwh: int | None
    reactive_import_mvarh: int | None
    reactive_export_mvarh: int | None
    demand_mw: int | None
    valid: int
    due: int
    flags: int
    parts: dict[int, Part] = field(default_factory=dict)
    revision: int = 0
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """Figures since `since_ms` (local midnight), open interval included; None = not known."""

    since_ms: int
    import_mwh: int | None
    export_mwh: int | None
    reactive_import_mvarh: int | None
    reactive_export_mvarh: int | None
    demand_mw: int | None  # mean import power of the running 15-min block so far
    power_mw: int | None  # last active power, for kg per hour
