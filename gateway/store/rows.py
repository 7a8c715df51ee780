"""Row types of the three streams and their JSON form (docs/formats/mqtt.md). Pure: no disk, no clock.

A stored row is history. What could change with a later version of the program (an event's sentence, the
CO2 of an interval, the place of a meter in the plant) is kept as it was at commit and never worked out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from drivers.decode import Converter
from engine.carbon import Factor, kg
from engine.event import Event
from engine.interval import IntervalRow
from engine.power_factor import power_factor
from engine.reading import Quality, Reading, quality_names

Row = dict[str, Any]
Stream = Literal["readings", "intervals", "events"]
STREAMS: tuple[Stream, ...] = ("readings", "intervals", "events")
Cause = Literal["meter", "bus", "box", "clock", "disk", "broker"]
CAUSES: tuple[Cause, ...] = ("meter", "bus", "box", "clock", "disk", "broker")


@dataclass(frozen=True, slots=True)
class Counts:
    """Polls of one meter: due, attempted, answered, valid, and the cause of each that is missing."""

    due: int = 0
    attempted: int = 0
    answered: int = 0
    valid: int = 0
    missed: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        missed = {c: self.missed.get(c, 0) + other.missed.get(c, 0) for c in {*self.missed, *other.missed}}
        return Counts(
            self.due + other.due,
            self.attempted + other.attempted,
            self.answered + other.answered,
            self.valid + other.valid,
            missed,
        )


@dataclass(frozen=True, slots=True)
class FactorRef:
    """The emission factor that an interval was multiplied with, under an accounting profile."""

    profile: str
    factor: Factor


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where a meter stands in the plant when its interval closes, and which factors are in force for it."""

    role: str
    parent: str | None = None
    factors: tuple[FactorRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Emission:
    """CO2 of one interval under one accounting profile, in nanograms, with its lineage."""

    ng: int
    gas: str
    profile: str
    factor: str
    revision: int


@dataclass(frozen=True, slots=True)
class StoredInterval:
    """A row of the `intervals` stream as the ledger keeps it."""

    seq: int
    row: IntervalRow
    role: str
    parent: str | None = None
    emissions: tuple[Emission, ...] = ()


def utc_ms(t_ms: int) -> str:
    """`2026-11-20T08:00:03.120Z`."""
    second, ms = divmod(t_ms, 1000)
    return f"{datetime.fromtimestamp(second, UTC).isoformat()[:19]}.{ms:03d}Z"


def utc_s(t_ms: int) -> str:
    """`2026-11-20T08:00:00Z`, for times on the second grid."""
    return f"{datetime.fromtimestamp(t_ms // 1000, UTC).isoformat()[:19]}Z"


def scaled(value: int, divisor: int) -> int | float:
    """`value / divisor` as JSON shows it exactly: an int when whole, else the nearest float (15 digits)."""
    whole, rest = divmod(value, divisor)
    return value / divisor if rest else whole


def reading_row(seq: int | None, reading: Reading, converter: Converter) -> Row:
    """Row of the `readings` stream; without `seq` it is the body of a live payload."""
    row: Row = {} if seq is None else {"seq": seq}
    row["meter"] = reading.meter
    row["t"] = utc_ms(reading.t_ms)
    row["values"] = converter.values(reading.columns)
    row["quality"] = quality_names(reading.flags)
    return row


def reading_columns(rows: Sequence[Row]) -> Row:
    """Reading rows of one meter as a `columns` batch; `quality` is a column only where some row has flags."""
    names = list(dict.fromkeys(key for row in rows for key in row["values"]))
    flagged = any(row["quality"] for row in rows)
    table = [
        [row["seq"], row["t"], *map(row["values"].get, names), *([row["quality"]] if flagged else [])]
        for row in rows
    ]
    columns = ["t", *names, *(["quality"] if flagged else [])]
    return {"columns": columns, "meter": rows[0]["meter"], "rows": table}


def interval_row(stored: StoredInterval) -> Row:
    """Row of the `intervals` stream. Energies in Wh to the mWh; what is not known is absent, never 0."""
    interval = stored.row
    row: Row = {"seq": stored.seq, "revision": interval.revision}
    if interval.cause is not None:
        row["cause"] = interval.cause
    row["meter"] = interval.meter
    row["role"] = stored.role
    if stored.parent is not None:
        row["parent"] = stored.parent
    row["start"] = utc_s(interval.start_ms)
    row["seconds"] = interval.seconds
    for key, value in (
        ("active_energy_import_wh", interval.import_mwh),
        ("active_energy_export_wh", interval.export_mwh),
        ("reactive_energy_import_varh", interval.reactive_import_mvarh),
        ("reactive_energy_export_varh", interval.reactive_export_mvarh),
    ):
        if value is not None:
            row[key] = scaled(value, 1000)
    ratio = power_factor(
        interval.import_mwh,
        interval.export_mwh,
        interval.reactive_import_mvarh,
        interval.reactive_export_mvarh,
    )
    if ratio is not None:
        row["power_factor"] = round(ratio, 4)
    if interval.demand_mw is not None:
        row["demand_w"] = scaled(interval.demand_mw, 1000)
    row["co2e"] = [
        {"kg": kg(e.ng), "gas": e.gas, "profile": e.profile, "factor": e.factor,
         "revision": e.revision}
        for e in stored.emissions
    ]  # fmt: skip
    row["quality"] = quality_names(interval.flags)
    if interval.parts:
        row["quality_parts"] = _parts(interval)
    row["coverage"] = coverage(interval.valid, interval.due)
    return row


def coverage(valid: int, due: int) -> float:
    """valid ÷ due, at most 1, cut to 3 decimals. Where nothing was due nothing is missing: 1."""
    return 1.0 if valid >= due else valid * 1000 // due / 1000


def _parts(interval: IntervalRow) -> Row:
    return {
        str(Quality(bit).name).lower(): {
            "readings": part.readings,
            "active_energy_import_wh": scaled(part.import_mwh, 1000),
        }
        for bit, part in sorted(interval.parts.items())
    }


def event_row(seq: int, event: Event, severity: str, text: Mapping[str, str]) -> Row:
    """Row of the `events` stream, with severity and sentence as they were at commit."""
    row: Row = {"seq": seq, "t": utc_ms(event.t_ms), "kind": event.kind, "severity": severity}
    if event.meter is not None:
        row["meter"] = event.meter
    if event.bus is not None:
        row["bus"] = event.bus
    if event.until_ms is not None:
        row["until"] = utc_ms(event.until_ms)
    row["text"] = dict(text)
    row["data"] = event.data
    return row
