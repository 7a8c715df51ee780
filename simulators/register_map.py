"""The register map of a meter, read from its table in config/profiles (form: head of drivers/profile.py).

Read here a second time, by other code, so that a slip in one reader does not hide in the other.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from simulators.encode import RegisterRow

REGISTERS_MAX = 125  # of the protocol
IDENTITY = "identity"  # stands for a quantity in the row of the identifying register


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """All rows of one meter, in wire order.

    `constants`: counts of registers that never change (identity, scale registers at a factor of 1). `sums`:
    quantities that it has only in parts. `holes`: where a reader may touch registers between the rows (True,
    or inclusive ranges).
    """

    id: str
    rows: tuple[RegisterRow, ...]
    registers_max: int = REGISTERS_MAX
    constants: dict[str, int] = field(default_factory=dict)
    sums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    holes: bool | tuple[tuple[int, int], ...] = False
    rows_at: dict[int, frozenset[int]] = field(init=False)  # function → registers of rows

    def __post_init__(self) -> None:
        taken: dict[int, set[int]] = {3: set(), 4: set()}
        for row in self.rows:
            taken[row.function].update(range(row.address, row.address + row.registers))
        object.__setattr__(self, "rows_at", {function: frozenset(at) for function, at in taken.items()})

    def readable(self, function: int, address: int, count: int) -> bool:
        """Whether a real meter would answer a read of this span."""
        rows, span = self.rows_at[function], range(address, address + count)
        if self.holes is True:
            return not rows.isdisjoint(span)
        ranges = self.holes or ()
        return bool(rows) and all(at in rows or any(low <= at <= high for low, high in ranges) for at in span)


def profiles_dir() -> Path:
    """`config/profiles` of a checkout, or of the installed wheel."""
    root = Path(__file__).resolve().parent.parent
    packaged = root / "gateway" / "_data" / "config" / "profiles"
    return packaged if packaged.is_dir() else root / "config" / "profiles"


def load_map(profile: str, directory: Path | None = None) -> RegisterMap:
    """The map of `{profile}.toml`. Raises ConfigError."""
    path = (directory or profiles_dir()) / f"{profile}.toml"
    try:
        return parse_map(profile, path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no register map {profile!r} in {path.parent}",
            hint="list them with: wattledger profile list",
        ) from error
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a register map: {error!r}", hint="see the head of drivers/profile.py"
        ) from error


def parse_map(id_: str, text: str) -> RegisterMap:
    """A map from TOML text. Raises KeyError, TypeError or ValueError where the text is not of the form."""
    table = tomllib.loads(text, parse_float=Decimal)
    if "iec104" in table["protocols"]:
        raise ValueError("an IEC 104 point map has no registers")
    scales = [_row(table, {"quantity": f"scale.{s['name']}", **s}) for s in table.get("scales", [])]
    rows = scales + [_row(table, entry) for entry in table["readings"]]
    constants = {row.quantity: round(1 / row.scale) for row in scales}
    identify = table.get("identify")
    if identify:
        rows.append(RegisterRow(IDENTITY, identify.get("function", 3), identify["address"], identify["type"]))
        constants[IDENTITY] = identify["expect"]
    holes = table.get("holes", False)
    return RegisterMap(
        id=id_,
        rows=tuple(sorted(rows, key=lambda row: (row.function, row.address))),
        registers_max=min(table.get("max_registers", REGISTERS_MAX), REGISTERS_MAX),
        constants=constants,
        sums={quantity: tuple(parts) for quantity, parts in table.get("sums", {}).items()},
        holes=holes if isinstance(holes, bool) else tuple((low, high) for low, high in holes),
    )


def _row(table: dict[str, Any], entry: dict[str, Any]) -> RegisterRow:
    wire = entry["type"]
    scale = Fraction(entry.get("scale", 1))
    markers = entry.get("missing", table.get("missing", {}).get(wire, []))
    return RegisterRow(
        quantity=entry["quantity"],
        function=entry.get("function", table.get("function", 3)),
        address=entry["address"],
        wire=wire,
        scale=scale,
        refs=tuple(entry.get("refs", ())),
        missing=markers[0] if markers else None,
        four_quadrant=entry.get("form", "plain") == "pf-4q",
        word_order=entry.get("word_order", table.get("word_order", "big")),
        modulus=_modulus(table.get("counter_wrap"), scale),
    )


def _modulus(wrap: dict[str, Any] | None, scale: Fraction) -> int | None:
    """Counts at which a counter of this scale wraps."""
    if wrap is None:
        return None
    counts = Fraction(wrap["modulus"]) / (abs(scale) if wrap["unit"] == "Wh" else 1)
    if counts.denominator != 1:
        raise ValueError(f"counter_wrap {wrap['modulus']} is no whole number of counts")
    return int(counts)
