"""Reading, Quality and Layout: what one answer of one meter is, as it is kept for five years."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import IntFlag
from fractions import Fraction
from functools import cached_property
from typing import Literal, NamedTuple

Wire = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
Form = Literal["plain", "pf-4q"]  # pf-4q: Schneider's four-quadrant power factor, 0..±2


class Quality(IntFlag):
    """Flags of a reading or a row; none set = good. Listed worst first; names of quality-map.json.

    `partial` (a block of the poll failed) and `clock_unsynced` (time not yet confirmed) are ours.
    """

    MISSING_COMM = 1 << 0
    INVALID_DEVICE_FAULT = 1 << 1
    BLOCKED = 1 << 2
    COMMISSIONING = 1 << 3
    LAST_VALUE_HELD = 1 << 4
    SUBSTITUTED_AT_SOURCE = 1 << 5
    QUESTIONABLE = 1 << 6
    EST_REFERENCE_DAY = 1 << 7
    EST_LINEAR = 1 << 8
    COUNTER_ADJUSTED = 1 << 9
    CALIBRATION_OVERDUE = 1 << 10
    EDITED_MANUAL = 1 << 11
    DERIVED = 1 << 12
    COUNTER_ROLLOVER = 1 << 13
    LATE_BACKFILLED = 1 << 14
    RAW_UNVALIDATED = 1 << 15
    PARTIAL = 1 << 16
    CLOCK_UNSYNCED = 1 << 17


GOOD = Quality(0)
# A counter that arrives with one of these never becomes energy.
COUNTER_UNUSABLE = (
    Quality.MISSING_COMM | Quality.INVALID_DEVICE_FAULT | Quality.BLOCKED | Quality.LAST_VALUE_HELD
    | Quality.SUBSTITUTED_AT_SOURCE
)  # fmt: skip
_NAMES = [(int(q), q.name.lower()) for q in Quality if q.name]


def quality_names(flags: int) -> list[str]:
    """Names of the set flags, worst first; `[]` is good."""
    return [name for bit, name in _NAMES if flags & bit] if flags else []


@dataclass(frozen=True, slots=True)
class Column:
    """One value of an answer, as sent.

    `quantity` is an id of `quantity.py`, or `scale.{name}` for a scale register. The SI value is
    raw × `scale` × Π(scale columns in `refs`). `missing` lists raw values (bit patterns as stored)
    that mean "not known"; a NaN or infinity always does.
    """

    quantity: str
    wire: Wire
    scale: str = "1"  # exact: "0.1", "1000", "1/800", "-1"
    refs: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    form: Form = "plain"

    @property
    def factor(self) -> Fraction:
        return Fraction(self.scale)


@dataclass(frozen=True)
class Layout:
    """The ordered columns of a reading. The log names it by `digest` and keeps its text once.

    `sums`: quantities that the meter has only in parts, e.g. the import total of a meter with
    tariff registers only: `(("active_energy_import", (12, 13)),)`, column indexes.
    """

    columns: tuple[Column, ...]
    sums: tuple[tuple[str, tuple[int, ...]], ...] = field(default=())

    @cached_property
    def text(self) -> str:
        """Canonical JSON: the text that is stored and digested."""
        body = {
            "columns": [
                {"quantity": c.quantity, "wire": c.wire, "scale": c.scale, "refs": list(c.refs),
                 "missing": list(c.missing), "form": c.form}
                for c in self.columns
            ],
            "sums": [[q, list(parts)] for q, parts in self.sums],
        }  # fmt: skip
        return json.dumps(body, sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @classmethod
    def from_text(cls, text: str) -> Layout:
        body = json.loads(text)
        return cls(
            tuple(
                Column(c["quantity"], c["wire"], c["scale"], tuple(c["refs"]), tuple(c["missing"]), c["form"])
                for c in body["columns"]
            ),
            tuple((q, tuple(parts)) for q, parts in body["sums"]),
        )


class Reading(NamedTuple):
    """One answer of one meter.

    `columns` are as sent: the integer (uint64 above 2^63 as its two's complement) or the float's bit
    pattern; None = not in this answer. `t_ms` is UTC, the arrival of the answer that carries the energy
    counters (or the meter's own time tag); `mono_ms` the box's monotonic clock within boot `boot_id`.
    """

    meter: str
    t_ms: int
    boot_id: int
    mono_ms: int
    layout: str
    columns: tuple[int | None, ...]
    flags: int = 0
