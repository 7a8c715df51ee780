"""A meter is a table: TOML → MeterProfile, and MeterProfile → the Layout of its readings. Pure.

The form of `config/profiles/{id}.toml` (the id is the file's stem). Every key that is not listed is refused.

    vendor = "Acrel"                      # required
    model = "DTSD1352"                    # required
    also_models = ["DTSD1352-C"]          # likely the same map, not proven
    protocols = ["modbus-rtu"]            # required; ["iec104"] for a point map, else what the meter speaks
                                          # (a Modbus map is used on every Modbus framing: converters exist)
    function = 3                          # default read function of the rows: 3 holding, 4 input registers
    word_order = "big"                    # big: high word first. Bytes inside a word are always big-endian
    max_registers = 125                   # most registers of one read
    holes = [[0, 59], [97, 142]]          # may registers between rows be read? true, false or ranges
    applies_ratio = true                  # the values already carry CT and PT: the site's ct/vt are refused
    serial = { baud = 9600, parity = "N", stop_bits = 1, unit = 1 }   # as shipped
    counter_wrap = { modulus = "1e12", unit = "Wh" }     # where a counter rolls over; Wh, or raw (counts)
    identify = { function = 3, address = 35168, type = "uint32", expect = 1110586144 }
    missing = { uint32 = [0xFFFFFFFF] }   # bit patterns that mean "not known", for every row of that type
    confidence = "…"   sources = ["…"]   notes = "…"
    sums = { active_energy_import = ["active_energy_import_t1", "active_energy_import_t2"] }
    scales = [ { name = "ct", address = 142, type = "uint16", scale = 1 } ]   # factors that the meter holds
    readings = [                          # one row per quantity of engine/quantity.py
      { quantity = "active_power", address = 362, type = "int32", scale = 1, refs = ["ct"] },
    ]

A row: `address` is zero-based, as on the wire. `type`: int16 uint16 int32 uint32 int64 uint64 float32
float64. The value in the quantity's SI unit (W, Wh, V …) is raw × `scale` × the scale registers in `refs`;
`scale` is a number or an exact text such as "1/800" (default 1). Optional: `function`, `word_order`,
`missing = [0xFFFF]`, `form = "pf-4q"`, `default = false` (not part of a normal poll), `optional = true` (some
units of the family refuse the register: it is read apart once a block with it was refused).

IEC 104 (`protocols = ["iec104"]`): rows have `ioa` (the site's ioa_base is added) instead of address and
function, and `type`: "float" (M_ME_NC/TF), "scaled" (M_ME_NB/TE), "normalized" (M_ME_NA/ND/TD; `scale` is the
value of 1.0) or "counter" (M_IT_NA/TB, signed 32-bit count). Columns carry float32, int16, int16 and int32.
`max_registers`, `holes`, `serial`, `word_order`, `identify` and `scales` do not apply.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

from drivers.decode import COUNTERS, energy_source
from drivers.rows import WIDTH, Row, RowReader
from drivers.table import Table
from engine.errors import ConfigError
from engine.quantity import QUANTITIES
from engine.reading import Column, Layout, Wire

MODBUS = ("modbus-tcp", "modbus-rtu", "modbus-rtu-tcp")
MAX_REGISTERS = 125  # of the Modbus specification
_CT_UNITS = frozenset({"A", "W", "var", "VA", "Wh", "varh", "VAh"})
_STEPS: dict[Wire, int] = {"float32": 1024, "float64": 1 << 39}
_VT_UNITS = frozenset({"V", "W", "var", "VA", "Wh", "varh", "VAh"})


@dataclass(frozen=True, slots=True)
class Serial:
    baud: int
    parity: str
    stop_bits: int
    unit: int


@dataclass(frozen=True, slots=True)
class CounterWrap:
    modulus: Fraction
    unit: str  # Wh (and varh alike) as the register counts it, or raw


@dataclass(frozen=True, slots=True)
class Identify:
    function: int
    address: int
    wire: Wire
    expect: int


@dataclass(frozen=True)
class MeterProfile:
    """Everything known about a type of meter. `rows` in wire order, scale registers among them."""

    id: str
    vendor: str
    model: str
    protocols: tuple[str, ...]
    rows: tuple[Row, ...]
    sums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    also_models: tuple[str, ...] = ()
    max_registers: int = MAX_REGISTERS
    holes: bool | tuple[tuple[int, int], ...] = False
    applies_ratio: bool = False
    serial: Serial | None = None
    counter_wrap: CounterWrap | None = None
    identify: Identify | None = None
    confidence: str = ""
    sources: tuple[str, ...] = ()
    notes: str = ""

    @property
    def iec104(self) -> bool:
        return self.protocols == ("iec104",)

    def speaks(self, protocol: str) -> bool:
        """Whether a bus of this protocol can carry the map."""
        return (protocol == "iec104") == self.iec104

    def selected(self, wanted: set[str] | None = None) -> tuple[Row, ...]:
        """Rows of one poll in wire order: the wanted quantities (None: the defaults) and their scales.

        Raises ConfigError for a quantity that the profile does not have.
        """
        if wanted is not None and (unknown := wanted - {row.quantity for row in self.rows}):
            raise ConfigError(f"{self.id} has no " + ", ".join(sorted(unknown)))
        default = {row.quantity for row in self.rows if row.default and not row.is_scale}
        chosen = default if wanted is None else wanted
        needed = {f"scale.{name}" for row in self.rows if row.quantity in chosen for name in row.refs}
        return tuple(row for row in self.rows if row.quantity in chosen | needed)


def layout_for(
    profile: MeterProfile,
    *,
    ct: Fraction | None = None,
    vt: Fraction | None = None,
    reverse: bool = False,
    wanted: set[str] | None = None,
) -> Layout:
    """Columns of one reading, in wire order (`profile.selected(wanted)`).

    `ct` multiplies currents, powers and energies; `vt` voltages, powers and energies. `reverse` (mounted the
    other way round) swaps the names of import and export and negates signed powers. Raises ConfigError for a
    ratio that the registers already carry.
    """
    if profile.applies_ratio and (ct or vt):
        raise ConfigError(
            f"{profile.id}: the registers already carry the transformer ratios",
            hint="remove ct and vt of this meter in site.toml; set the ratios in the meter itself",
        )
    rows = profile.selected(wanted)
    columns = tuple(_column(row, ct or Fraction(1), vt or Fraction(1), reverse) for row in rows)
    place = {row.quantity: index for index, row in enumerate(rows)}
    sums = tuple(
        (_turned(quantity) if reverse else quantity, tuple(place[part] for part in parts))
        for quantity, parts in profile.sums.items()
        if all(part in place for part in parts)
    )
    return Layout(columns, sums)


def _column(row: Row, ct: Fraction, vt: Fraction, reverse: bool) -> Column:
    if row.is_scale:
        return Column(row.quantity, row.wire, str(row.scale))
    quantity, factor = QUANTITIES[row.quantity], row.scale
    factor *= ct if quantity.unit in _CT_UNITS else 1
    factor *= vt if quantity.unit in _VT_UNITS else 1
    if reverse and row.quantity.startswith(("active_power", "reactive_power", "active_energy_net")):
        factor = -factor
    name = _turned(row.quantity) if reverse else row.quantity
    return Column(name, row.wire, str(factor), row.refs, row.missing, row.form)


def _turned(quantity: str) -> str:
    if "_import" in quantity:
        return quantity.replace("_import", "_export")
    return quantity.replace("_export", "_import")


def parse_profile(id_: str, text: str) -> MeterProfile:
    """The text of `{id_}.toml` as a profile. Raises ConfigError that names file and row."""
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{id_}.toml: {error}", hint="the form stands in drivers/profile.py") from error
    table = Table(f"{id_}.toml", content)
    protocols = table.texts("protocols")
    if protocols != ("iec104",) and (not protocols or not set(protocols) <= set(MODBUS)):
        raise table.wrong(f'protocols = {list(protocols)!r}: write ["iec104"] or some of {", ".join(MODBUS)}')
    rows = RowReader(table, points=protocols == ("iec104",)).read()
    profile = MeterProfile(
        id=id_, vendor=table.text("vendor"), model=table.text("model"), protocols=protocols, rows=rows,
        sums=_sums(table, rows), also_models=table.texts("also_models"),
        max_registers=table.number("max_registers", 1, MAX_REGISTERS, MAX_REGISTERS), holes=_holes(table),
        applies_ratio=table.flag("applies_ratio", False), serial=_serial(table.table("serial")),
        counter_wrap=_counter_wrap(table.table("counter_wrap")), identify=_identify(table.table("identify")),
        confidence=table.text("confidence", ""), sources=table.texts("sources"),
        notes=table.text("notes", "").strip(),
    )  # fmt: skip
    if not profile.iec104 and (widest := max(row.width for row in rows)) > profile.max_registers:
        raise table.wrong(f"max_registers = {profile.max_registers} is less than a reading takes ({widest})")
    table.end()
    return profile


def _sums(table: Table, rows: tuple[Row, ...]) -> dict[str, tuple[str, ...]]:
    line = table.table("sums")
    if line is None:
        return {}
    known = {row.quantity for row in rows}
    found = {quantity: line.texts(quantity) for quantity in list(line.names())}
    for quantity, parts in found.items():
        if quantity not in QUANTITIES or quantity in known:
            raise line.wrong(f"{quantity} is no quantity, or is a reading already")
        if len(set(parts)) < 2 or not set(parts) <= known:
            raise line.wrong(f"{quantity} needs two or more readings of this profile, not {', '.join(parts)}")
        if len({QUANTITIES[part].unit for part in (quantity, *parts)}) > 1:
            raise line.wrong(f"{quantity} adds values of different units")
    return found


def _holes(table: Table) -> bool | tuple[tuple[int, int], ...]:
    value = table.take("holes", False)
    if isinstance(value, bool):
        return value
    ranges: list[Any] = value if isinstance(value, list) else [None]
    for item in ranges:
        if not (isinstance(item, list) and len(item) == 2 and all(isinstance(edge, int) for edge in item)):
            raise table.wrong(f"holes must be true, false or ranges such as [[0, 59], [97, 142]]: {value!r}")
        if not 0 <= item[0] <= item[1] <= 65535:
            raise table.wrong(f"holes: {item!r} is no range of registers")
    return tuple((low, high) for low, high in ranges)


def _serial(table: Table | None) -> Serial | None:
    if table is None:
        return None
    found = Serial(
        table.number("baud", 300, 1_000_000), table.choice("parity", ("N", "E", "O"), "N"),
        table.number("stop_bits", 1, 2, 1), table.number("unit", 0, 255, 1),
    )  # fmt: skip
    table.end()
    return found


def _counter_wrap(table: Table | None) -> CounterWrap | None:
    if table is None:
        return None
    found = CounterWrap(table.exact("modulus"), table.choice("unit", ("Wh", "raw")))
    table.end()
    return found


def _identify(table: Table | None) -> Identify | None:
    if table is None:
        return None
    wire = cast(Wire, table.choice("type", tuple(WIDTH)))
    found = Identify(
        table.number("function", 3, 4, 3), table.number("address", 0, 65536 - WIDTH[wire]), wire,
        table.number("expect", -(1 << 63), (1 << 64) - 1),
    )  # fmt: skip
    table.end()
    return found


def moduli_mwh(profile: MeterProfile, layout: Layout) -> tuple[int, int, int, int]:
    """Where import, export, reactive import and export counter roll over, in mWh (mvarh); 0 = unknown.

    Unknown as well where a scale register of the meter multiplies the counter: then it is no constant.
    `layout` is `layout_for(profile, …)` of the default rows.
    """
    wrap, rows = profile.counter_wrap, profile.selected()

    def modulus(parts: tuple[int, ...]) -> int:
        if wrap is None or not parts or layout.columns[parts[0]].refs:
            return 0
        factor = abs(layout.columns[parts[0]].factor)
        counts = wrap.modulus if wrap.unit == "raw" else wrap.modulus / abs(rows[parts[0]].scale)
        return int(counts * factor * 1000)

    source = energy_source(layout)
    first, second, third, fourth = (modulus(source.parts[name]) for name in COUNTERS)
    return first, second, third, fourth


def resolution_mwh(layout: Layout) -> tuple[int, int, int, int]:
    """The least step of the counters in mWh (mvarh), same order, at least 1; 0 = no such counter.

    Integers: one count (scale registers taken as 1). A float's step grows with its value: float32 is given at
    2^23 counts of 1/1024, i.e. about 8 MWh for a kWh register (1 Wh); float64 is always below 1 mWh there.
    """

    def step(parts: tuple[int, ...]) -> int:
        columns = [layout.columns[part] for part in parts]
        steps = [round(abs(c.factor) * 1000 / _STEPS.get(c.wire, 1)) for c in columns]
        return max(1, *steps) if steps else 0

    source = energy_source(layout)
    first, second, third, fourth = (step(source.parts[name]) for name in COUNTERS)
    return first, second, third, fourth
