"""Register bytes against values written down by hand."""

from dataclasses import replace
from fractions import Fraction

import pytest

from simulators.encode import RegisterRow, RowEncoder


def row(quantity: str, wire: str, scale: str = "1") -> RegisterRow:
    return RegisterRow(quantity, 3, 0, wire, Fraction(scale))


@pytest.mark.parametrize(
    ("quantity", "wire", "scale", "value", "expected"),
    [
        ("voltage_l1_n", "uint16", "0.1", 230_149, "08fd"),  # 230.149 V → 2301
        ("voltage_l1_n", "uint32", "0.1", 230_151, "000008fe"),  # 230.151 V → 2302
        ("voltage_l1_n", "float32", "1", 230_100, "4366199a"),  # 230.1
        ("voltage_l1_n", "float64", "1", 230_100, "406cc33333333333"),
        ("active_power", "int16", "1", -1_600, "fffe"),  # -1.6 W → -2
        ("active_power", "int32", "0.01", -12_345_670, "ffed2979"),  # -12345.67 W → -1234567
        ("active_power", "int64", "1", -1_000, "ffffffffffffffff"),
        ("active_power", "float32", "1000", 9_180_000, "4112e148"),  # 9.18 kW
        ("power_factor", "int16", "0.001", 857_492, "0359"),  # 0.857
        ("power_factor", "int16", "0.001", -857_492, "fca7"),
        ("frequency", "uint16", "0.01", 50_012, "1389"),  # 50.01 Hz
        ("active_energy_import", "uint32", "10", 1_239_999, "0000007b"),  # 1239.999 Wh → 123 counts of 10 Wh
        ("active_energy_import", "uint64", "10", 123_456_780_000, "0000000000bc614e"),
        ("active_energy_import", "float32", "1000", 1_234_567_000, "449a5225"),  # 1234.567 kWh
        ("active_energy_net", "int64", "10", -25_000, "fffffffffffffffd"),  # -25 Wh: floor of -2.5 counts = -3
    ],
)
def test_a_value_becomes_the_register_bytes_of_its_row(
    quantity: str, wire: str, scale: str, value: int, expected: str
) -> None:
    assert RowEncoder(row(quantity, wire, scale)).encode(value).hex() == expected


@pytest.mark.parametrize(
    ("wire", "big", "little"),
    [("uint32", "00bc614e", "614e00bc"), ("uint64", "0000000000bc614e", "614e00bc00000000")],
)
def test_little_word_order_puts_the_low_word_first_and_leaves_bytes_alone(wire: str, big: str, little: str) -> None:
    value = 12_345_678_000
    assert RowEncoder(row("active_energy_import", wire)).encode(value).hex() == big
    assert RowEncoder(replace(row("active_energy_import", wire), word_order="little")).encode(value).hex() == little


def test_scale_registers_multiply_the_scale_of_a_row() -> None:
    scaled = replace(row("active_energy_import", "uint32", "10"), refs=("pt", "ct"))
    encoder = RowEncoder(scaled, {"pt": Fraction(1), "ct": Fraction(40)})
    assert encoder.encode(4_000_000_000).hex() == "00002710"  # 4 MWh = 10,000 counts of 400 Wh
    assert encoder.modulus_sub == 2**32 * 400_000


def test_a_counter_wraps_at_the_end_of_its_type() -> None:
    encoder = RowEncoder(row("active_energy_import", "uint32", "10"))
    assert encoder.encode(2**32 * 10_000 - 1).hex() == "ffffffff"
    assert encoder.encode(2**32 * 10_000 + 20_000).hex() == "00000002"


def test_a_counter_wraps_at_the_modulus_of_its_map() -> None:
    integer = RowEncoder(replace(row("active_energy_import", "uint32", "10"), modulus=100_000_000))
    assert integer.encode(1_000_000_030_000).hex() == "00000003"
    floating = RowEncoder(replace(row("active_energy_import_t1", "float64"), modulus=10**12))
    assert floating.encode(10**15 + 1_500).hex() == "3ff8000000000000"  # 1.5 Wh


def test_an_instant_beyond_its_register_stays_at_the_end_of_the_range() -> None:
    encoder = RowEncoder(row("active_power", "int16", "1"))
    assert encoder.encode(40_000_000).hex() == "7fff"
    assert encoder.encode(-40_000_000).hex() == "8000"


@pytest.mark.parametrize(
    ("wire", "marker", "expected"),
    [
        ("float32", None, "7fc00000"),
        ("float64", None, "7ff8000000000000"),
        ("uint16", None, "ffff"),
        ("int32", None, "7fffffff"),
        ("int32", 0x80000000, "80000000"),
        ("int16", -32768, "8000"),
    ],
)
def test_an_unknown_value_is_the_marker_of_the_map_or_of_the_type(wire: str, marker: int | None, expected: str) -> None:
    assert RowEncoder(replace(row("active_power", wire), missing=marker)).encode(None).hex() == expected


@pytest.mark.parametrize(
    ("wire", "scale", "data", "mwh"),
    [
        ("float32", "1000", "449a5225", 1_234_567_017),  # 1234.5670166015625 kWh exactly
        ("float32", "1000", "3a83126f", 1_000),  # 0.001 kWh is 0.0010000000474974513
        ("uint32", "10", "0000007b", 1_230_000),
        ("uint32", "1/800", "00000001", 1),  # 1.25 mWh
    ],
)
def test_shown_says_what_a_register_means_to_the_mwh(wire: str, scale: str, data: str, mwh: int) -> None:
    assert RowEncoder(row("active_energy_import", wire, scale)).shown(bytes.fromhex(data)) == mwh


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="a scale of 0"):
        RowEncoder(replace(row("current_l1", "uint16"), refs=("ct",)), {"ct": Fraction(0)})
