"""Rows of a profile: one register value or information object each; read from TOML, checked together."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, cast, get_args

from drivers.table import Table
from engine.errors import ConfigError
from engine.quantity import QUANTITIES
from engine.reading import Form, Wire

Order = Literal["big", "little"]
WIDTH: dict[Wire, int] = {
    "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4,
}  # fmt: skip
POINT_TYPES: dict[str, Wire] = {
    "float": "float32", "scaled": "int16", "normalized": "int16", "counter": "int32",
}  # fmt: skip
MAX_IOA = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Row:
    """One register value or information object. `quantity` is an id, or `scale.{name}` for a factor."""

    quantity: str
    address: int  # register, or IOA
    wire: Wire
    function: int = 0  # 0 for IEC 104
    point: str = ""  # IEC 104 type class, "" for Modbus
    order: Order = "big"
    scale: Fraction = Fraction(1)
    refs: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    form: Form = "plain"
    default: bool = True
    optional: bool = False

    @property
    def width(self) -> int:
        """Registers that it takes."""
        return WIDTH[self.wire]

    @property
    def is_scale(self) -> bool:
        return self.quantity.startswith("scale.")


class RowReader:
    """Reads `scales` and `readings` with the defaults of the file, and checks them against each other."""

    def __init__(self, table: Table, *, points: bool) -> None:
        self.table = table
        self.points = points
        self.function = table.number("function", 3, 4, 3)
        self.order = table.choice("word_order", get_args(Order), "big")
        missing = table.table("missing")
        self.missing: dict[str, list[Any]] = missing.rest() if missing else {}
        if unknown := set(self.missing) - set(WIDTH):
            raise table.wrong("missing names no type: " + ", ".join(sorted(unknown)))

    def read(self) -> tuple[Row, ...]:
        found: dict[str, tuple[Row, str]] = {}
        for key, name_key in (("scales", "name"), ("readings", "quantity")):
            for number, item in enumerate(self.table.items(key), 1):
                name = item.get(name_key, "?") if isinstance(item, dict) else "?"
                line = Table(f"{self.table.where}, {key} row {number} ({name})", item)
                row = self._row(line, scale=key == "scales")
                if row.quantity in found:
                    raise line.wrong(f"{name} stands twice, also at {found[row.quantity][0].address}")
                found[row.quantity] = row, line.where
        rows = sorted(found.values(), key=lambda pair: (pair[0].function, pair[0].address))
        if all(row.is_scale for row, _ in rows):
            raise self.table.wrong("no readings")
        for (before, _), (after, where) in itertools.pairwise(rows):
            width = 1 if self.points else before.width
            if before.function == after.function and before.address + width > after.address:
                raise ConfigError(f"{where}: {after.address} overlaps {before.quantity} at {before.address}")
        for row, where in rows:
            if absent := [name for name in row.refs if f"scale.{name}" not in found]:
                raise ConfigError(f"{where}: refs names no scale register: " + ", ".join(absent))
        return tuple(row for row, _ in rows)

    def _row(self, line: Table, *, scale: bool) -> Row:
        if scale:
            quantity = "scale." + line.text("name")
        elif (quantity := line.text("quantity")) not in QUANTITIES:
            raise line.wrong("unknown quantity", hint="the closed list is in engine/quantity.py")
        factor, point, function = line.exact("scale", "1"), "", 0
        if self.points:
            point = line.choice("type", tuple(POINT_TYPES))
            wire = POINT_TYPES[point]
            address = line.number("ioa", 0, MAX_IOA)
            factor /= 32768 if point == "normalized" else 1
        else:
            wire = cast(Wire, line.choice("type", tuple(WIDTH)))
            address = line.number("address", 0, 65536 - WIDTH[wire])
            function = line.number("function", 3, 4, self.function)
        row = Row(
            quantity, address, wire, function, point,
            order=cast(Order, line.choice("word_order", get_args(Order), self.order)),
            scale=factor, refs=line.texts("refs"), missing=_missing(line, wire, self.missing.get(wire, [])),
            form=cast(Form, line.choice("form", get_args(Form), "plain")),
            default=line.flag("default", True), optional=line.flag("optional", False),
        )  # fmt: skip
        line.end()
        return row


def _missing(line: Table, wire: Wire, common: list[Any]) -> tuple[int, ...]:
    """Bit patterns as a column stores them: signed types and 64-bit patterns as two's complement."""
    bits = 16 * WIDTH[wire]
    stored_signed = wire.startswith("int") or bits == 64
    found = []
    for value in [*line.items("missing"), *common]:
        if not isinstance(value, int) or not -(1 << (bits - 1)) <= value < 1 << bits:
            raise line.wrong(f"missing = {value!r} does not fit {wire}")
        found.append(value - (1 << bits) if stored_signed and value >> (bits - 1) == 1 else value)
    return tuple(dict.fromkeys(found))
