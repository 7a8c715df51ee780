"""Decoding: every type and word order, exact energies, values without binary noise, absent what is not known."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.block import BlockDecoder, Field
from drivers.decode import Converter, energy_source, shortest32
from engine.reading import Column, Layout, Wire

BITS = {
    "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "float32": 32, "int64": 64, "uint64": 64, "float64": 64,
}  # fmt: skip


def bits32(value: float) -> int:
    return int.from_bytes(struct.pack(">f", value), "big")


def bits64(value: float) -> int:
    return int.from_bytes(struct.pack(">d", value), "big", signed=True)


def words(pattern: int, bits: int, little: bool) -> bytes:
    """Registers of a bit pattern, written out by hand: bytes big-endian inside a word."""
    parts = [(pattern >> shift & 0xFFFF).to_bytes(2, "big") for shift in range(bits - 16, -1, -16)]
    return b"".join(reversed(parts) if little else parts)


def stored(wire: str, pattern: int) -> int:
    bits = BITS[wire]
    signed = wire.startswith("int") or bits == 64
    return pattern - (1 << bits) if signed and pattern >> (bits - 1) else pattern


@st.composite
def blocks(draw: st.DrawFn) -> tuple[int, list[Field], bytes, list[int]]:
    fields, payload, expected, at = [], b"", [], 0
    for _ in range(draw(st.integers(1, 8))):
        gap = draw(st.integers(0, 3))
        wire: Wire = draw(st.sampled_from(sorted(BITS)))
        little = draw(st.booleans())
        pattern = draw(st.integers(0, (1 << BITS[wire]) - 1))
        payload += draw(st.binary(min_size=2 * gap, max_size=2 * gap)) + words(pattern, BITS[wire], little)
        fields.append(Field(at + gap, wire, little))
        expected.append(stored(wire, pattern))
        at += gap + BITS[wire] // 16
    tail = draw(st.integers(0, 2))
    return at + tail, fields, payload + b"\xaa\xbb" * tail, expected


@given(blocks())
def test_every_type_and_word_order_comes_out_as_sent(block: tuple[int, list[Field], bytes, list[int]]) -> None:
    count, fields, payload, expected = block
    assert list(BlockDecoder(count, fields).columns(payload)) == expected


def test_a_payload_of_another_length_is_refused() -> None:
    with pytest.raises(struct.error):
        BlockDecoder(2, [Field(0, "float32")]).columns(b"\0\0\0")


FLOATS32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(FLOATS32.filter(lambda x: 1e-9 < abs(x) < 1e9))
def test_the_shortest_decimal_means_the_same_float32(value: float) -> None:
    digits, power = shortest32(value)
    assert struct.pack(">f", digits / power) == struct.pack(">f", value)


@given(st.integers(-9_999_999, 9_999_999), st.integers(0, 4))
def test_a_decimal_of_six_digits_survives_float32(digits: int, places: int) -> None:
    wanted = round(digits / 10 ** max(1, len(str(abs(digits))) - 6)) / 10**places
    converter = Converter(Layout((Column("active_power", "float32"),)))
    assert converter.values((bits32(wanted),)) == {"active_power_w": wanted}


def test_a_float_of_230_1_volts_is_230_1() -> None:
    converter = Converter(Layout((Column("voltage_l1_n", "float32"), Column("voltage_l2_n", "uint16", "0.1"))))
    assert converter.values((bits32(230.1), 2301)) == {"voltage_l1_n_v": 230.1, "voltage_l2_n_v": 230.1}


SCALES = st.sampled_from(["1", "1000", "40000", "0.1", "1/800", "40/3"])


@given(st.sampled_from(["float32", "float64"]), FLOATS32, SCALES)
def test_a_float_counter_is_its_exact_binary_value_rounded_half_even_once(wire: Wire, value: float, scale: str) -> None:
    converter = Converter(Layout((Column("active_energy_import", wire, scale),)))
    found = converter.engine_values((bits32(value) if wire == "float32" else bits64(value),)).import_mwh
    exact = Fraction(value) * Fraction(scale) * 1000
    expected = round(exact)
    assert found == (expected if 0 <= expected <= 9 * 10**15 else None)


def test_a_product_that_a_double_cannot_hold_is_exact_too() -> None:
    converter = Converter(Layout((Column("active_energy_import", "float32", "2039016.529"),)))
    assert converter.engine_values((bits32(2087578.625),)).import_mwh == 4256607321962093


@given(st.integers(0, 2**64 - 1), st.sampled_from(["1", "10", "0.01", "1/800", "1/3"]))
def test_an_integer_counter_is_exact(raw: int, scale: str) -> None:
    converter = Converter(Layout((Column("active_energy_import", "uint64", scale),)))
    column = raw - (1 << 64) if raw >> 63 else raw
    expected = round(raw * Fraction(scale) * 1000)
    assert converter.engine_values((column,)).import_mwh == (expected if expected <= 9 * 10**15 else None)


def test_half_a_milliwatthour_goes_to_the_even_one() -> None:
    converter = Converter(Layout((Column("active_energy_import", "uint32", "1/2000"),)))
    assert [converter.engine_values((raw,)).import_mwh for raw in (1, 2, 3, 5, 7)] == [0, 1, 2, 2, 4]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9999), st.integers(1, 9999))
def test_scale_registers_multiply_exactly(raw: int, pt: int, ct: int) -> None:
    layout = Layout((
        Column("active_energy_import", "uint32", "10", ("pt", "ct")),
        Column("scale.pt", "uint16"),
        Column("scale.ct", "uint16", "0.1"),
        Column("current_l1", "uint16", "0.01", ("ct",)),
    ))  # fmt: skip
    mwh = round(raw * 10 * pt * Fraction(ct, 10) * 1000)
    converter = Converter(layout)
    found = converter.engine_values((raw, pt, ct, 500))
    assert found.import_mwh == (mwh if mwh <= 9 * 10**15 else None)
    current = converter.values((raw, pt, ct, 500))["current_l1_a"]
    assert current == float(Fraction(5 * ct, 10))


def test_without_its_scale_register_a_value_is_absent() -> None:
    layout = Layout((Column("active_energy_import", "uint32", "10", ("ct",)), Column("scale.ct", "uint16")))
    converter = Converter(layout)
    assert converter.values((100, None)) == {}
    assert converter.engine_values((100, None)).import_mwh is None


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_a_sum_is_exact_and_rounded_once(first: float, second: float) -> None:
    layout = Layout(
        (Column("active_energy_import_t1", "float64"), Column("active_energy_import_t2", "float64")),
        (("active_energy_import", (0, 1)),),
    )
    converter = Converter(layout)
    columns = bits64(first), bits64(second)
    exact = round((Fraction(first) + Fraction(second)) * 1000)
    assert converter.engine_values(columns).import_mwh == exact
    assert converter.values(columns)["active_energy_import_wh"] == exact / 1000


def test_a_sum_with_a_part_missing_is_absent() -> None:
    layout = Layout(
        (Column("active_energy_import_t1", "uint32"), Column("active_energy_import_t2", "uint32")),
        (("active_energy_import", (0, 1)),),
    )
    assert Converter(layout).values((5, None)) == {"active_energy_import_t1_wh": 5}
    assert Converter(layout).engine_values((5, None)).import_mwh is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("wire", ["float32", "float64"])
def test_nan_and_infinity_are_absent(wire: Wire, value: float) -> None:
    converter = Converter(Layout((Column("active_power", wire), Column("active_energy_import", wire, "1000"))))
    pattern = bits32(value) if wire == "float32" else bits64(value)
    assert converter.values((pattern, pattern)) == {}
    assert set(converter.engine_values((pattern, pattern))) == {None}


def test_what_the_meter_marks_as_missing_is_absent() -> None:
    layout = Layout((
        Column("active_power", "int32", missing=(0x7FFFFFFF,)),
        Column("active_energy_import", "uint64", missing=(-1,)),
    ))  # fmt: skip
    assert Converter(layout).values((0x7FFFFFFF, -1)) == {}
    assert Converter(layout).values((0x7FFFFFFE, 7)) == {"active_power_w": 0x7FFFFFFE, "active_energy_import_wh": 7}


def test_what_physics_forbids_is_absent() -> None:
    layout = Layout((
        Column("frequency", "float32"),
        Column("active_energy_import", "float32", "1000"),
        Column("power_factor", "int16", "0.001"),
    ))  # fmt: skip
    columns = bits32(0.5), bits32(-1.0), 1200
    assert Converter(layout).values(columns) == {}
    assert Converter(layout).engine_values(columns).import_mwh is None


@pytest.mark.parametrize(("sent", "factor"), [(0.9, 0.9), (-0.9, 0.9), (1.0, 1), (1.04, 0.96), (-1.04, 0.96), (2.0, 0)])
def test_the_four_quadrant_power_factor_becomes_a_magnitude(sent: float, factor: float) -> None:
    converter = Converter(Layout((Column("power_factor", "float32", form="pf-4q"),)))
    assert converter.values((bits32(sent),)) == {"power_factor": factor}


def test_power_comes_in_milliwatt_with_its_sign() -> None:
    layout = Layout((Column("active_power", "int32", "-0.01"), Column("reactive_power", "float32", "1000")))
    found = Converter(layout).engine_values((123456, bits32(-1.5)))
    assert (found.power_mw, found.reactive_mvar) == (-1234560, -1500000)


@pytest.mark.parametrize(
    ("quantities", "mode", "import_column"),
    [
        (["active_energy_total", "active_energy_net", "active_energy_import"], "counters", (2,)),
        (["active_energy_net", "active_energy_total"], "counters", (1,)),
        (["active_power", "active_energy_net"], "net", (1,)),
        (["active_power"], "integrate", ()),
        (["active_energy_export", "active_energy_total"], "counters", ()),
    ],
)
def test_the_energy_source_is_chosen_in_order(quantities: list[str], mode: str, import_column: tuple[int, ...]) -> None:
    layout = Layout(tuple(Column(quantity, "int32") for quantity in quantities))
    source = energy_source(layout)
    assert (source.mode, source.parts["active_energy_import"]) == (mode, import_column)
    assert Converter(layout).mode == mode


def test_a_net_counter_keeps_its_sign() -> None:
    converter = Converter(Layout((Column("active_energy_net", "int32", "10"),)))
    assert converter.engine_values((-5,)).import_mwh == -50_000


def test_columns_of_another_layout_are_refused() -> None:
    with pytest.raises(ValueError, match="the layout has 1"):
        Converter(Layout((Column("active_power", "int32"),))).values((1, 2))
