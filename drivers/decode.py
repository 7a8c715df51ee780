"""From columns as sent to values. Pure: the log of years is read with the same lines.

`values` is for people and clouds: SI units, the meter's own resolution, no binary noise. `engine_values` is
for arithmetic: exact integers of mWh, mvarh, mW and mvar, rounded half-even once.
What is NaN, infinite, marked as missing or outside the sane range of its quantity is absent.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from math import frexp, inf, prod
from typing import Literal, NamedTuple

from engine.quantity import QUANTITIES
from engine.reading import Column, Layout

Mode = Literal["counters", "net", "integrate"]
COUNTERS = (
    "active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export",
)  # fmt: skip
POWERS = ("active_power", "reactive_power")
_EXACT32 = 1 << 29  # a float32 (24 bits) times a whole number below this is exact in a double
_ENERGY_UNITS = ("Wh", "varh", "VAh")


class EnergySource(NamedTuple):
    """Which columns make each of COUNTERS, summed; `()` = none. In mode net, import is the net counter."""

    mode: Mode
    parts: dict[str, tuple[int, ...]]


def energy_source(layout: Layout) -> EnergySource:
    """The order of preference: import and export, a total as import, net, none (power is integrated)."""
    known = _places(layout)
    parts = {name: known.get(name, ()) for name in COUNTERS}
    mode: Mode = "counters"
    if not (parts["active_energy_import"] or parts["active_energy_export"]):
        parts["active_energy_import"] = known.get("active_energy_total", ())
        if not parts["active_energy_import"]:
            parts["active_energy_import"] = known.get("active_energy_net", ())
            mode = "net" if parts["active_energy_import"] else "integrate"
    if not (parts["reactive_energy_import"] or parts["reactive_energy_export"]):
        parts["reactive_energy_import"] = known.get("reactive_energy_total", ())
    return EnergySource(mode, parts)


def _places(layout: Layout) -> dict[str, tuple[int, ...]]:
    single = {column.quantity: (index,) for index, column in enumerate(layout.columns)}
    return single | dict(layout.sums)


class EngineValues(NamedTuple):
    """Exact figures of one reading; None = not known. In mode net `import_mwh` is the signed net counter."""

    import_mwh: int | None
    export_mwh: int | None
    reactive_import_mvarh: int | None
    reactive_export_mvarh: int | None
    power_mw: int | None
    reactive_mvar: int | None


class Converter:
    """Columns of one layout → values. Built once per layout, used for every reading of it."""

    def __init__(self, layout: Layout) -> None:
        columns = layout.columns
        self._scales = [(c.quantity[6:], i, c.factor) for i, c in enumerate(columns) if _is_scale(c)]
        self._ref_sets = [refs for refs in dict.fromkeys(c.refs for c in columns) if refs]
        place = {refs: n for n, refs in enumerate([(), *self._ref_sets])}
        self._shown = [_Shown(c, i, place[c.refs]) for i, c in enumerate(columns) if not _is_scale(c)]
        self._sums = [
            (QUANTITIES[name].key, _Exact(name, columns, parts, place)) for name, parts in layout.sums
        ]  # fmt: skip
        source, known = energy_source(layout), _places(layout)
        chosen = [(name, source.parts[name]) for name in COUNTERS]
        if source.mode == "net":
            chosen[0] = ("active_energy_net", chosen[0][1])
        chosen += [(name, known.get(name, ())) for name in POWERS]
        self._engine = [_Exact(name, columns, parts, place) if parts else None for name, parts in chosen]
        used = {part for _, parts in chosen for part in parts} | {i for _, i, _ in self._scales}
        self._all_numbers = _Numbers(columns, range(len(columns)))
        self._engine_numbers = _Numbers(columns, sorted(used))
        self.mode: Mode = source.mode

    def values(self, columns: Sequence[int | None]) -> dict[str, int | float]:
        """`{quantity}_{unit}` → SI value; sums included, scale registers not; absent if not known."""
        numbers = self._all_numbers.of(columns)
        products = self._products(numbers)
        found: dict[str, int | float] = {}
        for shown in self._shown:
            number = numbers[shown.index]
            if number is not None:
                value = shown.value(number, products[shown.refs])
                if value is not None:
                    found[shown.key] = value
        for key, exact in self._sums:
            milli = exact.milli(numbers, products)
            if milli is not None:
                found[key] = milli / 1000
        return found

    def engine_values(self, columns: Sequence[int | None]) -> EngineValues:
        """The exact figures for the engine, in milli-units."""
        numbers = self._engine_numbers.of(columns)
        products = self._products(numbers)
        return EngineValues(*[exact.milli(numbers, products) if exact else None for exact in self._engine])

    def _products(self, numbers: list[int | float | None]) -> list[int | Fraction | None]:
        """The product of scale registers per set of refs; the first is that of no refs."""
        products: list[int | Fraction | None] = [1]
        if self._ref_sets:
            scales: dict[str, int | Fraction | None] = {}
            for name, index, factor in self._scales:
                number = numbers[index]
                if isinstance(number, int) and factor == 1:
                    scales[name] = number
                else:
                    scales[name] = None if number is None else Fraction(number) * factor
            for refs in self._ref_sets:
                known = [scale for name in refs if (scale := scales[name]) is not None]
                products.append(prod(known) if len(known) == len(refs) else None)
        return products


def _is_scale(column: Column) -> bool:
    return column.quantity.startswith("scale.")


class _Numbers:
    """Raw columns → numbers in the column's own unit, None where not known; looks at `used` columns only."""

    def __init__(self, columns: Sequence[Column], used: Sequence[int]) -> None:
        self.width = len(columns)
        self.floats = []
        for wire, raw, to, nan in (("float32", "I", "f", 0x7FC0 << 16), ("float64", "q", "d", 0x7FF8 << 48)):
            if places := [i for i in used if columns[i].wire == wire]:
                pack, unpack = struct.Struct(f"{len(places)}{raw}"), struct.Struct(f"{len(places)}{to}")
                self.floats.append((places, pack.pack, unpack.unpack, nan))
        self.unsigned64 = [i for i in used if columns[i].wire == "uint64"]
        self.missing = [(i, frozenset(columns[i].missing)) for i in used if columns[i].missing]

    def of(self, columns: Sequence[int | None]) -> list[int | float | None]:
        if len(columns) != self.width:
            raise ValueError(f"{len(columns)} columns given, the layout has {self.width}")
        numbers: list[int | float | None] = list(columns)
        for places, pack, unpack, nan in self.floats:
            patterns = [columns[i] for i in places]
            if None in patterns:
                patterns = [nan if pattern is None else pattern for pattern in patterns]
            for place, value in zip(places, unpack(pack(*patterns)), strict=True):
                numbers[place] = value if -inf < value < inf else None
        for index in self.unsigned64:
            raw = columns[index]
            if raw is not None and raw < 0:
                numbers[index] = raw + (1 << 64)
        for index, missing in self.missing:
            if columns[index] in missing:
                numbers[index] = None
        return numbers


class _Exact:
    """The sum of some columns in exact milli-units, rounded half-even once."""

    __slots__ = ("fast", "high", "index", "low", "parts")

    def __init__(
        self, name: str, columns: Sequence[Column], parts: tuple[int, ...], place: dict[tuple[str, ...], int]
    ) -> None:
        quantity = QUANTITIES[name]
        self.low, self.high = int(quantity.low * 1000), int(quantity.high * 1000)
        factors = [columns[part].factor * 1000 for part in parts]
        self.parts = [
            (part, factor.numerator, factor.denominator, place[columns[part].refs])
            for part, factor in zip(parts, factors, strict=True)
        ]
        self.index = parts[0]
        self.fast: int | float = 0
        column, factor = columns[parts[0]], factors[0]
        if len(parts) == 1 and not column.refs and factor.denominator == 1:
            if column.wire == "float32" and abs(factor) < _EXACT32:
                self.fast = float(factor)
            elif not column.wire.startswith("float"):
                self.fast = int(factor)

    def milli(
        self, numbers: Sequence[int | float | None], products: Sequence[int | Fraction | None]
    ) -> int | None:
        if self.fast:
            number = numbers[self.index]
            if number is None:
                return None
            total = round(number * self.fast)
        else:
            above, below = 0, 1
            for index, n, d, refs in self.parts:
                number, product = numbers[index], products[refs]
                if number is None or product is None:
                    return None
                top, bottom = number.as_integer_ratio()
                top, bottom = top * n * product.numerator, bottom * d * product.denominator
                above, below = above * bottom + top * below, below * bottom
            total = _half_even(above, below)
        return total if self.low <= total <= self.high else None


def _half_even(above: int, below: int) -> int:
    whole, rest = divmod(above, below)
    return whole + (2 * rest > below or (2 * rest == below and whole & 1))


class _Shown:
    """One column as a value in SI units with the meter's own resolution."""

    __slots__ = (
        "d", "exact", "float32", "form4q", "high", "index", "integer", "key", "low", "n", "pf", "refs",
    )  # fmt: skip

    def __init__(self, column: Column, index: int, refs: int) -> None:
        quantity = QUANTITIES[column.quantity]
        self.key, self.low, self.high = quantity.key, quantity.low, quantity.high
        self.index, self.refs = index, refs
        self.n, self.d = column.factor.numerator, column.factor.denominator
        self.integer = not column.wire.startswith("float")
        self.float32 = column.wire == "float32"
        self.exact = quantity.unit in _ENERGY_UNITS and not (self.integer and self.d == 1)
        self.pf = column.quantity.startswith("power_factor")
        self.form4q = column.form == "pf-4q"

    def value(self, number: int | float, product: int | Fraction | None) -> int | float | None:
        if product is None:
            return None
        n, d = self.n, self.d
        if product != 1:
            n, d = n * product.numerator, d * product.denominator
        value: int | float
        if self.exact:  # an energy: the very mWh that the engine counts
            top, bottom = number.as_integer_ratio()
            value = _half_even(top * n * 1000, bottom * d) / 1000
        elif self.integer:
            value = number * n if d == 1 else number * n / d
        else:
            top, bottom = shortest32(number) if self.float32 else Fraction(repr(number)).as_integer_ratio()
            if self.form4q and abs(top) > bottom:
                top = 2 * bottom - abs(top)
            value = top * n / (bottom * d)
        if self.pf:
            value = value if value >= 0 else -value
        return value if self.low <= value <= self.high else None


def _decimal_places() -> list[tuple[int, float]]:
    """By exponent + 149: the power of ten whose step is just above a float32's, and half of that float's."""
    table = []
    for exponent in range(-149, 129):
        step, power = 2.0 ** max(exponent - 24, -149), 1
        while power < 10**22 and 1 / (power * 10) >= step:
            power *= 10
        table.append((power, step / 2))
    return table


_PLACES = _decimal_places()


def shortest32(number: int | float) -> tuple[int, int]:
    """The shortest decimal that means this float32: 230.10000610351562 → (2301000, 10000)."""
    power, half = _PLACES[frexp(number)[1] + 149]
    digits = round(number * power)
    if abs(digits / power - number) >= half:
        power *= 10
        digits = round(number * power)
    return digits, power
