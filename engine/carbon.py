"""CO2 of electricity: emission factors of dated documents, and exact nanograms.

1 mWh × 1 mg/kWh = 1 ng, so a factor of whole mg/kWh gives whole numbers. A factor is picked by its id (series,
region, data year, document), never by a year alone: one year may have two official values. Only factors that are
made for purchased electricity (scope 2) can be loaded; `parse_factors` says why it refuses another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Literal

from engine.errors import ConfigError

Gas = Literal["CO2", "CO2e"]
NG_PER_KG = 10**12
_MG_PER_KWH = {"kg{}/kWh": 1_000_000, "t{}/MWh": 1_000_000, "g{}/kWh": 1_000}
_SCOPES = ("2-location", "2-market", "2-market-residual", "2-special")
_REFUSED = {
    "project-only": "a baseline factor (OM/BM) tells what a project avoids, not what purchased electricity emits",
    "3/LCA": "a life-cycle footprint belongs to a product, not to scope 2",
    "energy": "standard coal (kgce) is energy, not CO2",
}
_KEYS = {"id", "value", "unit", "gas", "scope", "region", "publisher", "document", "name_en", "name_zh"}
_OPTIONAL = {"valid_from", "valid_to", "data_year", "revision", "note"}


@dataclass(frozen=True, slots=True)
class Factor:
    """One published emission factor. `valid_to` is the last day, None = until replaced."""

    id: str
    value_mg_per_kwh: Fraction
    gas: Gas
    scope: str
    region: str
    publisher: str
    document: str
    name_en: str
    name_zh: str
    valid_from: date | None = None
    valid_to: date | None = None
    data_year: int | None = None
    revision: int = 0

    @property
    def text(self) -> str:
        """Canonical JSON: what the log keeps of a factor in force."""
        body = {
            "id": self.id, "mg_per_kwh": str(self.value_mg_per_kwh), "gas": self.gas, "scope": self.scope,
            "region": self.region, "publisher": self.publisher, "document": self.document,
            "name_en": self.name_en, "name_zh": self.name_zh,
            "valid_from": self.valid_from and self.valid_from.isoformat(),
            "valid_to": self.valid_to and self.valid_to.isoformat(),
            "data_year": self.data_year, "revision": self.revision,
        }  # fmt: skip
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def co2_ng(import_mwh: int, factor: Factor) -> int:
    """CO2 of an imported energy [ng], exact for factors of whole mg/kWh, else cut to the nanogram."""
    return import_mwh * factor.value_mg_per_kwh.numerator // factor.value_mg_per_kwh.denominator


def co2_parts_ng(imports_mwh: Iterable[int], factor: Factor) -> list[int]:
    """CO2 of consecutive energies [ng] as differences of floors: their sum is the CO2 of the sum."""
    parts, energy, before = [], 0, 0
    for import_mwh in imports_mwh:
        energy += import_mwh
        after = co2_ng(energy, factor)
        parts.append(after - before)
        before = after
    return parts


def kg(ng: int) -> float:
    """Nanograms as kilograms for JSON: the float nearest to the exact quotient."""
    return ng / NG_PER_KG


def kg_per_h(power_mw: int, factor: Factor) -> float:
    """Rate of emission at an active power [mW]; export emits nothing."""
    return kg(co2_ng(max(0, power_mw), factor))


def parse_factors(table: Mapping[str, Any], where: str) -> dict[str, Factor]:
    """The factors of one pack: `[[factor]]` tables, each completed from `[common]`; `where` names the file.

    Raises ConfigError for an unknown key, a missing one, a wrong unit, a doubled id, and for factors that are
    not made for scope 2.
    """
    unknown = set(table) - {"common", "factor"}
    if unknown:
        raise ConfigError(f"{where}: unknown table {sorted(unknown)[0]!r}", hint="write [common] and [[factor]]")
    found: dict[str, Factor] = {}
    for number, own in enumerate(table.get("factor", ()), 1):
        row = {**table.get("common", {}), **own}
        factor = _factor(row, f"{where}: factor {row.get('id', number)}")
        if factor.id in found:
            raise ConfigError(f"{where}: factor {factor.id} stands there twice", hint="give each its own id")
        found[factor.id] = factor
    return found


def _factor(row: Mapping[str, Any], where: str) -> Factor:
    if missing := sorted(_KEYS - set(row)):
        raise ConfigError(f"{where}: {missing[0]} is missing", hint=f'write {missing[0]} = "…"')
    if unknown := sorted(set(row) - _KEYS - _OPTIONAL):
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}", hint="known: " + " ".join(sorted(_KEYS | _OPTIONAL)))
    for key in _KEYS:
        if not isinstance(row[key], str) or not row[key]:
            raise ConfigError(f"{where}: {key} = {row[key]!r} is not a text", hint=f'write {key} = "…" in quotes')
    if row["scope"] not in _SCOPES:
        reason = _REFUSED.get(row["scope"], "it is not a factor for purchased electricity")
        raise ConfigError(f"{where}: scope {row['scope']!r}: {reason}", hint="usable: " + ", ".join(_SCOPES))
    if row["gas"] not in ("CO2", "CO2e"):
        raise ConfigError(f"{where}: gas {row['gas']!r}", hint='write gas = "CO2" or gas = "CO2e"')
    first, last = (_day(row.get(key), key, where) for key in ("valid_from", "valid_to"))
    if first and last and last < first:
        raise ConfigError(f"{where}: valid_to {last} is before valid_from {first}", hint="exchange them")
    return Factor(
        row["id"], _mg_per_kwh(row, where), row["gas"], row["scope"], row["region"], row["publisher"],
        row["document"], row["name_en"], row["name_zh"], first, last,
        *(_whole(row.get(key, default), key, where) for key, default in (("data_year", None), ("revision", 0))),
    )  # fmt: skip


def _mg_per_kwh(row: Mapping[str, Any], where: str) -> Fraction:
    units = {unit.format(row["gas"]): scale for unit, scale in _MG_PER_KWH.items()}
    if row["unit"] not in units:
        reason = _REFUSED["energy"] if "ce" in row["unit"] else f"not a unit of {row['gas']} per energy"
        raise ConfigError(f"{where}: unit {row['unit']!r}: {reason}", hint="usable: " + ", ".join(units))
    try:
        value = Decimal(row["value"])
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise ConfigError(f"{where}: value {row['value']!r} is not a decimal number", hint='write value = "0.5306"')
    scaled = Fraction(value) * units[row["unit"]]
    if scaled > 3_000_000:
        raise ConfigError(
            f"{where}: {row['value']} {row['unit']} is more than any power plant emits",
            hint="is the unit right? 1 kgCO2/kWh = 1 tCO2/MWh = 1000 gCO2/kWh",
        )
    return scaled


def _day(value: Any, key: str, where: str) -> date | None:
    if value is None or type(value) is date:
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: {key} = {value!r} is not a day", hint=f"write {key} = 2025-12-31") from None


def _whole(value: Any, key: str, where: str) -> Any:
    if value is not None and type(value) is not int:
        raise ConfigError(f"{where}: {key} = {value!r} is not a whole number", hint=f"write {key} = 2023")
    return value
