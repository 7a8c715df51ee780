"""From a measured value to register bytes, row by row of a register map; knows nothing of our decoder.

Instants are rounded to the nearest step of the register, counters show the floor and wrap at their modulus,
floats are the nearest that the type holds. `shown` says back, exactly, what a register's bytes mean.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from engine.quantity import QUANTITIES
from simulators.physics import SUBUNITS

WIRE_BYTES = {
    "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8, "float32": 4, "float64": 8,
}  # fmt: skip
_FLOAT = {"float32": ">f", "float64": ">d"}
_NAN = {"float32": bytes.fromhex("7fc00000"), "float64": bytes.fromhex("7ff8000000000000")}
_FLOAT32_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """One row of a meter's table: where a quantity stands and how it is written.

    `scale` = SI units per count, `refs` names further scale registers that multiply it. `little` puts the
    low word first. `modulus` = counts at which a counter wraps, where it is not the type's own.
    """

    quantity: str  # an id of engine/quantity.py, or "scale.{name}"
    function: int
    address: int
    wire: str
    scale: Fraction = Fraction(1)
    refs: tuple[str, ...] = ()
    missing: int | None = None
    four_quadrant: bool = False
    word_order: Literal["big", "little"] = "big"
    modulus: int | None = None

    @property
    def registers(self) -> int:
        return WIRE_BYTES[self.wire] // 2

    @property
    def source(self) -> str:
        """The measured value that it carries: a four-quadrant power factor is a measurement of its own."""
        return f"{self.quantity}.4q" if self.four_quadrant else self.quantity


@dataclass(slots=True)
class RowEncoder:
    """A row bound to the values of its scale registers: integers in, bytes out."""

    row: RegisterRow
    scales: Mapping[str, Fraction] = field(default_factory=dict)
    counter: bool = field(init=False)
    modulus: int | None = field(init=False)  # in counts
    _num: int = field(init=False)
    _den: int = field(init=False)
    _low: int = field(init=False)
    _high: int = field(init=False)

    def __post_init__(self) -> None:
        row = self.row
        gain = row.scale
        for name in row.refs:
            gain *= self.scales[name]
        if not gain:
            raise ValueError(f"{row.quantity} at {row.address}: a scale of 0 cannot be written")
        counts_per_sub = 1 / (gain * SUBUNITS.get(row.quantity, 1))
        self._num, self._den = counts_per_sub.numerator, counts_per_sub.denominator
        known = QUANTITIES.get(row.quantity)
        self.counter = known is not None and known.kind == "counter"
        bits = 8 * WIRE_BYTES[row.wire] - row.wire.startswith("int")
        self._low = -(1 << bits) if row.wire.startswith("int") else 0
        self._high = (1 << bits) - 1
        self.modulus = row.modulus or (None if row.wire in _FLOAT else 1 << bits)
        if row.quantity == "active_energy_net":
            self.modulus = None

    @property
    def modulus_sub(self) -> int | None:
        """Where the counter wraps, in sub-units (mWh); None = it does not."""
        return None if self.modulus is None else self.modulus * self._den // self._num

    def encode(self, value: int | None) -> bytes:
        """Bytes of a value in sub-units (physics.SUBUNITS; mWh for energy); None gives the missing marker."""
        wire = self.row.wire
        if value is None:
            return self._order(self._missing())
        if wire in _FLOAT:
            return self._order(_pack_float(wire, self._float(value)))
        count = self._count(value)
        return self._order(count.to_bytes(WIRE_BYTES[wire], "big", signed=wire.startswith("int")))

    def _float(self, value: int) -> float:
        counts = value * self._num
        if self.counter and self.modulus is not None:
            counts %= self.modulus * self._den
        return counts / self._den

    def _count(self, value: int) -> int:
        if not self.counter:
            nearest = (2 * value * self._num + self._den) // (2 * self._den)
            return min(max(nearest, self._low), self._high)
        counts = value * self._num // self._den
        return counts if self.modulus is None else counts % self.modulus

    def _missing(self) -> bytes:
        """What says "not known": the map's own marker, else NaN, else the highest count of the type."""
        row = self.row
        size = WIRE_BYTES[row.wire]
        if row.missing is not None:
            return (row.missing & ((1 << (8 * size)) - 1)).to_bytes(size, "big")
        return _NAN[row.wire] if row.wire in _NAN else self._high.to_bytes(size, "big")

    def _order(self, big: bytes) -> bytes:
        if self.row.word_order == "big" or len(big) == 2:
            return big
        return b"".join(big[n : n + 2] for n in range(len(big) - 2, -1, -2))

    def shown(self, data: bytes) -> int:
        """What the register says, in whole sub-units (half-even where a float lies between)."""
        big = self._order(data)
        wire = self.row.wire
        if wire in _FLOAT:
            return round(Fraction(struct.unpack(_FLOAT[wire], big)[0]) * self._den / self._num)
        count = int.from_bytes(big, "big", signed=wire.startswith("int"))
        return count * self._den if self._num == 1 else round(Fraction(count * self._den, self._num))


def _pack_float(wire: str, value: float) -> bytes:
    if wire == "float32":
        value = min(max(value, -_FLOAT32_MAX), _FLOAT32_MAX)
    return struct.pack(_FLOAT[wire], value)
