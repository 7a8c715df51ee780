"""Profiles: the TOML form, what is refused, and the layout that a site's ratios and mounting make of it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from drivers.decode import Converter
from drivers.profile import layout_for, moduli_mwh, parse_profile, resolution_mwh
from engine.errors import ConfigError
from gateway.site.profiles import load_profile, nearest, profile_texts

HEAD = 'vendor = "V"\nmodel = "M"\nprotocols = ["modbus-rtu"]\n'
POWER = '{ quantity = "active_power", address = 10, type = "int32" }'
IMPORT = '{ quantity = "active_energy_import", address = 20, type = "uint32", scale = 10 }'
EXPORT = '{ quantity = "active_energy_export", address = 22, type = "uint32", scale = 10 }'
VOLTAGE = '{ quantity = "voltage_l1_n", address = 30, type = "uint16", scale = 0.1 }'
CURRENT = '{ quantity = "current_l1", address = 31, type = "uint16", scale = "1/800" }'


def profile_of(*rows: str, head: str = ""):  # type: ignore[no-untyped-def]
    return parse_profile("x", HEAD + head + "\nreadings = [" + ", ".join(rows) + "]\n")


ONE = "readings = [" + POWER + "]"
ROW = HEAD + "readings = [" + POWER[:-1]  # without its closing brace
REFUSED = {
    "text that is no TOML": ("vendor = ", "x.toml"),
    "a missing vendor": ('model = "M"\nprotocols = ["modbus-rtu"]\n' + ONE, "vendor is missing"),
    "an unknown key": (HEAD + "colour = 1\nreadings = [" + POWER + "]", "unknown key colour"),
    "an unknown key in a row": (ROW + ", colour = 1 }]", "row 1 (active_power): unknown"),
    "an unknown protocol": (HEAD.replace("modbus-rtu", "profibus") + ONE, "protocols"),
    "an unknown quantity": (HEAD + ONE.replace("active_power", "colour"), "row 1 (colour): unknown quantity"),
    "an unknown type": (HEAD + "readings = [" + POWER.replace("int32", "int24") + "]", "type = 'int24'"),
    "two rows for one quantity": (HEAD + ONE[:-1] + ", " + POWER.replace("10", "50") + "]", "stands twice"),
    "overlapping rows": (HEAD + ONE[:-1] + ", " + IMPORT.replace("= 20", "= 11") + "]", "overlaps"),
    "an address beyond the end": (HEAD + "readings = [" + POWER.replace("= 10", "= 65535") + "]", "0 to 65534"),
    "a function that reads nothing": (ROW + ", function = 6 }]", "function"),
    "a scale register nobody defined": (ROW + ', refs = ["ct"] }]', "no scale register: ct"),
    "a scale of zero": (ROW + ", scale = 0 }]", "must not be zero"),
    "a scale that is no number": (ROW + ', scale = "ten" }]', "must be a number"),
    "a missing pattern too wide": (ROW + ", missing = [0x1FFFFFFFF] }]", "does not fit"),
    "no readings": (HEAD, "no readings"),
    "a sum of strangers": (
        HEAD + 'sums = { active_energy_import = ["active_energy_import_t1", "active_energy_import_t2"] }\n' + ONE,
        "sums",
    ),
    "a sum that is a reading as well": (
        HEAD + 'sums = { active_energy_import = ["active_power", "active_energy_export"] }\n'
        "readings = [" + ", ".join((POWER, IMPORT, EXPORT)) + "]", "is a reading already",
    ),
    "a reading wider than one read": (HEAD + "max_registers = 1\nreadings = [" + POWER + "]", "max_registers"),
    "holes that are no range": (HEAD + "holes = [[9, 1]]\nreadings = [" + POWER + "]", "no range"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    text, words = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        parse_profile("x", text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("x.toml")


@pytest.mark.parametrize("name", profile_texts())
def test_every_shipped_profile_is_valid_and_gives_energy(name: str) -> None:
    profile = load_profile(name)
    assert Converter(layout_for(profile)).mode == "counters"
    assert profile.sources
    assert profile.confidence
    assert profile.notes


def test_the_six_meters_are_there() -> None:
    assert {
        "eastron-sdm630", "acrel-dtsd1352", "schneider-iem3155", "chint-dtsu666", "abb-b23", "siemens-pac3200",
    } <= set(profile_texts())  # fmt: skip


def test_an_unknown_profile_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile("eastron-sdm360")
    assert "eastron-sdm630" in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "best"), [("sdm630", "eastron-sdm630"), ("acrel-dtsd1353", "acrel-dtsd1352"), ("B23", "abb-b23")]
)
def test_nearest_finds_the_meant_profile(asked: str, best: str) -> None:
    assert nearest(asked, profile_texts())[0] == best


def test_ct_multiplies_current_power_and_energy_and_vt_voltage_power_and_energy() -> None:
    profile = profile_of(POWER, IMPORT, VOLTAGE, CURRENT)
    layout = layout_for(profile, ct=Fraction(200, 5), vt=Fraction(10000, 100))
    assert {c.quantity: c.factor for c in layout.columns} == {
        "active_power": 4000,
        "active_energy_import": 40000,
        "voltage_l1_n": 10,
        "current_l1": Fraction(40, 800),
    }


def test_a_ratio_that_the_registers_already_carry_is_refused() -> None:
    profile = profile_of(POWER, head="applies_ratio = true")
    with pytest.raises(ConfigError, match="already carry"):
        layout_for(profile, ct=Fraction(40))


def test_reverse_swaps_import_and_export_and_turns_the_sign_of_power() -> None:
    net = '{ quantity = "active_energy_net", address = 40, type = "int32" }'
    reactive = '{ quantity = "reactive_energy_import", address = 44, type = "uint32" }'
    layout = layout_for(profile_of(POWER, IMPORT, EXPORT, VOLTAGE, net, reactive), reverse=True)
    assert [(c.quantity, c.factor) for c in layout.columns] == [
        ("active_power", -1),
        ("active_energy_export", 10),
        ("active_energy_import", 10),
        ("voltage_l1_n", Fraction(1, 10)),
        ("active_energy_net", -1),
        ("reactive_energy_export", 1),
    ]


def test_reverse_swaps_sums_too() -> None:
    layout = layout_for(load_profile("siemens-pac3200"), reverse=True)
    sums = dict(layout.sums)
    assert {layout.columns[i].quantity for i in sums["active_energy_export"]} == {
        "active_energy_export_t1", "active_energy_export_t2",
    }  # fmt: skip


def test_scale_registers_are_columns_of_the_layout_where_a_reading_needs_them() -> None:
    layout = layout_for(load_profile("acrel-dtsd1352"))
    names = [column.quantity for column in layout.columns]
    assert {"scale.pt", "scale.ct"} <= set(names)
    assert layout_for(load_profile("acrel-dtsd1352"), wanted={"frequency"}).columns[0].quantity == "frequency"


def test_columns_stand_in_wire_order() -> None:
    profile = profile_of(CURRENT, VOLTAGE, IMPORT, POWER)
    assert [row.address for row in profile.rows] == [10, 20, 30, 31]
    assert [c.quantity for c in layout_for(profile).columns] == [row.quantity for row in profile.selected()]


def test_missing_patterns_are_kept_as_columns_store_them() -> None:
    rows = profile_of(
        '{ quantity = "active_power", address = 0, type = "int32", missing = [0x80000000] }',
        '{ quantity = "active_energy_import", address = 4, type = "uint64" }',
        head="missing = { uint64 = [0xFFFFFFFFFFFFFFFF] }",
    ).rows
    assert rows[0].missing == (-(1 << 31),)
    assert rows[1].missing == (-1,)


def test_an_iec104_row_has_an_ioa_and_normalized_values_are_parts_of_their_scale() -> None:
    profile = parse_profile(
        "p",
        'vendor = "V"\nmodel = "M"\nprotocols = ["iec104"]\nreadings = ['
        '{ quantity = "active_power", ioa = 16385, type = "normalized", scale = 1000000 },'
        '{ quantity = "active_energy_import", ioa = 25601, type = "counter", scale = 10 }]',
    )
    assert [(row.address, row.wire, row.point) for row in profile.rows] == [
        (16385, "int16", "normalized"), (25601, "int32", "counter"),
    ]  # fmt: skip
    assert profile.rows[0].scale == Fraction(1000000, 32768)
    assert profile.speaks("iec104")
    assert not profile.speaks("modbus-tcp")


def test_moduli_and_resolution_follow_the_columns() -> None:
    profile = profile_of(IMPORT, EXPORT, head='counter_wrap = { modulus = "1e9", unit = "Wh" }')
    layout = layout_for(profile, ct=Fraction(40))
    assert moduli_mwh(profile, layout) == (40 * 10**12, 40 * 10**12, 0, 0)
    assert resolution_mwh(layout) == (400_000, 400_000, 0, 0)


def test_a_modulus_in_counts_is_multiplied_by_the_scale() -> None:
    profile = profile_of(IMPORT, head='counter_wrap = { modulus = 100000000, unit = "raw" }')
    assert moduli_mwh(profile, layout_for(profile))[0] == 10**8 * 10 * 1000


def test_the_modulus_is_unknown_where_the_meter_holds_the_ratio() -> None:
    profile = parse_profile(
        "x",
        HEAD + 'counter_wrap = { modulus = 100, unit = "raw" }\n'
        'scales = [{ name = "ct", address = 1, type = "uint16" }]\n'
        "readings = [" + IMPORT[:-1] + ', refs = ["ct"] }]',
    )
    assert moduli_mwh(profile, layout_for(profile)) == (0, 0, 0, 0)


def test_a_float_counter_has_a_resolution_of_about_a_watthour() -> None:
    assert resolution_mwh(layout_for(load_profile("eastron-sdm630"))) == (977, 977, 977, 977)
    assert resolution_mwh(layout_for(load_profile("siemens-pac3200"))) == (1, 1, 1, 1)
