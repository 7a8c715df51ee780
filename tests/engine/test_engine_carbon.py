"""CO2: exact nanograms, factors that may be used, and those that are refused."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.carbon import NG_PER_KG, Factor, co2_ng, co2_parts_ng, kg, kg_per_h, parse_factors
from engine.errors import ConfigError

PACKS = sorted((Path(__file__).parents[2] / "config" / "factors").glob("*.toml"))
ROW: dict[str, Any] = {
    "id": "xx.grid.2023", "value": "0.5306", "unit": "kgCO2/kWh", "gas": "CO2", "scope": "2-location", "region": "XX",
    "publisher": "Office", "document": "Notice 1", "name_en": "Grid", "name_zh": "电网",
}  # fmt: skip


def parsed(**changes: Any) -> Factor:
    row = {key: value for key, value in {**ROW, **changes}.items() if value is not None}
    (factor,) = parse_factors({"factor": [row]}, "x.toml").values()
    return factor


@pytest.fixture(scope="module")
def shipped() -> dict[str, Factor]:
    return {
        factor_id: factor
        for path in PACKS
        for factor_id, factor in parse_factors(tomllib.loads(path.read_text(encoding="utf-8")), path.name).items()
    }


@pytest.mark.parametrize(
    ("kwh", "factor_id", "tonnes"),
    [
        ("305782.79", "cn.grid.national.ets.2021", "177.66"),
        ("766500", "cn.grid.national.ets.2021", "445.34"),
        ("1378600", "cn.grid.national.ets.2022", "786.22"),
        ("124502", "cn.grid.region.东北.2021", "74.85"),
        ("1484107", "cn.grid.region.东北.2021", "892.25"),
        ("2160", "cn.grid.region.东北.2021", "1.30"),
        ("400000", "cn.grid.region-ndrc.东北.2012", "310.76"),
        ("2100000", "cn.grid.region-ndrc.华中.2012", "1103.97"),
    ],
)
def test_published_factory_reports_come_out_to_the_last_printed_digit(
    shipped: dict[str, Factor], kwh: str, factor_id: str, tonnes: str
) -> None:
    import_mwh = int(Fraction(kwh) * 1_000_000)
    exact = Fraction(co2_ng(import_mwh, shipped[factor_id]), 1000 * NG_PER_KG)
    assert abs(exact - Fraction(tonnes)) <= Fraction("0.005")


def test_the_latest_national_factor_of_china_is_exact_to_the_nanogram(shipped: dict[str, Factor]) -> None:
    factor = shipped["cn.grid.national.2023"]
    assert (factor.value_mg_per_kwh, factor.gas, factor.valid_from) == (530_600, "CO2", date(2025, 12, 31))
    assert co2_ng(1_000_000, factor) == 530_600_000_000  # 1 kWh: 0.5306 kg
    assert kg(co2_ng(1_000_000, factor)) == 0.5306
    assert kg_per_h(12_500_000, factor) == 6.6325
    assert kg_per_h(-12_500_000, factor) == 0


def test_one_year_with_two_official_values_has_two_ids(shipped: dict[str, Factor]) -> None:
    found = {shipped[i].value_mg_per_kwh for i in ("cn.grid.national.ets.2022", "cn.grid.national.2022")}
    assert found == {570_300, 536_600}


def test_every_year_of_china_has_its_nation_regions_and_thirty_provinces(shipped: dict[str, Factor]) -> None:
    for year in (2021, 2022, 2023):
        ids = [i for i in shipped if i.endswith(f".{year}")]
        assert len([i for i in ids if i.startswith("cn.grid.province.")]) == 30
        assert len([i for i in ids if i.startswith("cn.grid.region.")]) == 7
        assert {f"cn.grid.national.{year}", f"cn.grid.national-excl-market.{year}"} <= set(ids)
    assert shipped["cn.grid.national-excl-market.2023"].value_mg_per_kwh == 609_600
    assert shipped["uk.grid.2024"].gas == "CO2e"


def test_the_packs_name_no_id_twice() -> None:
    ids = [row["id"] for path in PACKS for row in tomllib.loads(path.read_text(encoding="utf-8"))["factor"]]
    assert len(ids) == len(set(ids)) > 150


@given(st.lists(st.integers(0, 10**12), max_size=40), st.fractions(0, 3, max_denominator=10**9))
def test_parts_add_up_to_the_co2_of_the_whole_for_any_factor(imports: list[int], value: Fraction) -> None:
    factor = Factor("x", value * 1_000_000, "CO2", "2-location", "X", "P", "D", "n", "n")
    assert sum(co2_parts_ng(imports, factor)) == co2_ng(sum(imports), factor)


@pytest.mark.parametrize("unit", ["kgCO2/kWh", "tCO2/MWh"])
def test_units_of_the_same_size_give_the_same_factor(unit: str) -> None:
    assert parsed(unit=unit).value_mg_per_kwh == 530_600
    assert parsed(unit="gCO2/kWh", value="530.6").value_mg_per_kwh == 530_600


def test_the_text_of_a_factor_is_canonical_and_complete() -> None:
    body = json.loads(parsed(valid_from="2024-01-01", data_year=2023).text)
    assert body["mg_per_kwh"] == "530600"
    assert (body["valid_from"], body["valid_to"], body["data_year"]) == ("2024-01-01", None, 2023)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scope": "project-only"}, "baseline"),
        ({"scope": "3/LCA"}, "life-cycle"),
        ({"scope": "energy"}, "standard coal"),
        ({"scope": "1"}, "not a factor for purchased electricity"),
        ({"unit": "kgce/kWh"}, "standard coal"),
        ({"unit": "kgCO2e/kWh"}, "not a unit of CO2"),
        ({"unit": "kgCO2/kWh", "gas": "CO2e"}, "not a unit of CO2e"),
        ({"gas": "CH4"}, "gas"),
        ({"value": 0.5306}, "is not a text"),
        ({"value": "zero"}, "decimal"),
        ({"value": "NaN"}, "decimal"),
        ({"value": "-0.1"}, "decimal"),
        ({"value": "530.6"}, "more than any power plant"),
        ({"document": None}, "document is missing"),
        ({"extra": "x"}, "unknown key"),
        ({"valid_from": "yesterday"}, "not a day"),
        ({"valid_from": date(2024, 1, 2), "valid_to": date(2024, 1, 1)}, "before"),
        ({"data_year": "2023"}, "whole number"),
    ],
)
def test_what_is_no_scope_2_factor_or_badly_written_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        parsed(**changes)
    assert str(refusal.value).startswith("x.toml: factor xx.grid.2023")
    assert refusal.value.hint


def test_a_doubled_id_and_an_unknown_table_are_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        parse_factors({"factor": [ROW, ROW]}, "x.toml")
    with pytest.raises(ConfigError, match="unknown table"):
        parse_factors({"factors": [ROW]}, "x.toml")


def test_common_keys_complete_each_factor() -> None:
    rest = {key: value for key, value in ROW.items() if key not in ("unit", "gas")}
    table = {"common": {"unit": "kgCO2/kWh", "gas": "CO2"}, "factor": [rest]}
    assert parse_factors(table, "x.toml") == {"xx.grid.2023": parsed()}
