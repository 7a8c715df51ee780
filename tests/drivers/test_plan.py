"""Read plans: few requests, the counters first, no register read that the map does not allow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.plan import paying_gap, plan, rtu_ms, tcp_ms
from drivers.profile import MeterProfile, parse_profile
from gateway.site.profiles import load_profile, profile_texts

QUANTITIES = [f"voltage_l{n}_n" for n in (1, 2, 3)] + [f"current_l{n}" for n in (1, 2, 3)] + [
    "active_power", "reactive_power", "apparent_power", "power_factor", "active_energy_import", "active_energy_export",
]  # fmt: skip
MODBUS = [name for name in profile_texts() if not load_profile(name).iec104]


def meter(addresses: dict[str, int], head: str = "", **extra: str) -> MeterProfile:
    rows = ",".join(
        f'{{ quantity = "{quantity}", address = {address}, type = "float32" {extra.get(quantity, "")} }}'
        for quantity, address in addresses.items()
    )
    return parse_profile("x", f'vendor="V"\nmodel="M"\nprotocols=["modbus-tcp"]\n{head}\nreadings=[{rows}]')


def spans(profile: MeterProfile, **options: int | bool) -> list[tuple[int, int]]:
    return [(block.address, block.count) for block in plan(profile, **options).blocks]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("eastron-sdm630", 2), ("acrel-dtsd1352", 3), ("schneider-iem3155", 2), ("chint-dtsu666", 2), ("abb-b23", 2),
        ("siemens-pac3200", 2),
    ],
)  # fmt: skip
def test_a_meter_takes_few_requests(name: str, requests: int) -> None:
    assert len(plan(load_profile(name)).blocks) == requests


def test_sdm630_brings_energy_powers_and_power_factor_in_one_request() -> None:
    profile = load_profile("eastron-sdm630")
    first, rows = plan(profile).blocks[0], profile.selected()
    assert (first.function, first.address, first.count) == (4, 0, 80)
    assert {
        "active_energy_import", "active_power", "reactive_power", "apparent_power", "power_factor",
    } <= {rows[column].quantity for column in first.columns}  # fmt: skip


@pytest.mark.parametrize("name", MODBUS)
@pytest.mark.parametrize("strict", [False, True])
def test_every_column_is_read_once_where_its_row_stands(name: str, strict: bool) -> None:
    profile = load_profile(name)
    rows, found = profile.selected(), {}
    blocks = plan(profile, strict=strict)
    for block in blocks.blocks:
        assert block.count <= profile.max_registers
        for column, field in zip(block.columns, block.fields, strict=True):
            assert column not in found
            found[column] = block.function, block.address + field.offset, field.wire
    assert found == {n: (row.function, row.address, row.wire) for n, row in enumerate(rows)}
    assert blocks.width == len(rows)


@pytest.mark.parametrize("name", MODBUS)
def test_the_first_request_carries_the_energy_counters(name: str) -> None:
    profile = load_profile(name)
    rows = profile.selected()
    assert any(rows[column].quantity.startswith("active_energy_import") for column in plan(profile).blocks[0].columns)


@pytest.mark.parametrize("name", MODBUS)
def test_a_strict_plan_reads_nothing_but_rows(name: str) -> None:
    assert all(block.safe for block in plan(load_profile(name), strict=True).blocks)


def test_a_gap_is_not_read_where_holes_are_forbidden() -> None:
    at = {"active_power": 0, "active_energy_import": 4}
    assert spans(meter(at)) == [(4, 2), (0, 2)]
    assert spans(meter(at, "holes = true")) == [(0, 6)]
    assert spans(meter(at, "holes = [[2, 3]]")) == [(0, 6)]
    assert spans(meter(at, "holes = [[2, 2]]")) == [(4, 2), (0, 2)]


def test_registers_of_rows_not_polled_may_be_read_along() -> None:
    profile = meter(
        {"active_power": 0, "reactive_power": 2, "active_energy_import": 4}, reactive_power=", default = false"
    )
    assert spans(profile) == [(0, 6)]


def test_powers_are_put_with_the_counters_where_a_cut_is_needed() -> None:
    at = {"voltage_l1_n": 0, "voltage_l2_n": 2, "active_power": 60, "active_energy_import": 90}
    assert spans(meter(at, "holes = true\nmax_registers = 80")) == [(60, 32), (0, 4)]


def test_a_gap_wider_than_pays_is_not_read() -> None:
    profile = meter({"active_power": 0, "active_energy_import": 20}, "holes = true")
    assert spans(profile, gap_max=18) == [(0, 22)]
    assert spans(profile, gap_max=17) == [(20, 2), (0, 2)]


def test_an_optional_row_stands_apart_in_a_strict_plan() -> None:
    profile = meter({"active_power": 0, "active_energy_import": 2}, active_power=", optional = true")
    whole, (first, second) = plan(profile).blocks, plan(profile, strict=True).blocks
    assert [(block.safe, block.optional) for block in whole] == [(False, False)]
    assert (first.address, first.optional, second.address, second.optional) == (2, False, 0, True)


def test_the_merging_limit_is_that_of_the_line() -> None:
    assert paying_gap(9600, "E", 1) == 14
    assert paying_gap(115200, "E", 1) == 77


def test_bus_time_follows_the_formula() -> None:
    profile = meter({"active_power": 0, "active_energy_import": 2})
    tc = 11 / 9600 * 1000
    assert rtu_ms(plan(profile), 9600, "E", 1, 10) == pytest.approx((13 + 8) * tc + 7 * tc + 10)
    assert rtu_ms(plan(profile), 115200, "N", 1, 5) == pytest.approx(21 * 10 / 115.2 + 3.5 + 5)
    assert tcp_ms(plan(profile), 8) == 8


def fewest(profile: MeterProfile) -> int:
    """Greedy from the left is the fewest for intervals of bounded length."""
    blocks, start = 0, None
    covered = {row.address + n for row in profile.rows for n in (0, 1)}
    end = 0
    for row in profile.selected():
        gap = range(end, row.address)
        allowed = profile.holes is True or all(register in covered for register in gap)
        if start is None or not allowed or row.address + 2 - start > profile.max_registers:
            blocks, start = blocks + 1, row.address
        end = row.address + 2
    return blocks


@given(
    st.lists(st.integers(0, 120), min_size=1, max_size=len(QUANTITIES), unique=True),
    st.integers(2, 60),
    st.sampled_from(["true", "false"]),
)
@settings(max_examples=200)
def test_no_plan_has_more_requests_than_needed(places: list[int], limit: int, holes: str) -> None:
    addresses = dict(zip(QUANTITIES, [2 * place for place in places], strict=False))
    profile = meter(addresses, f"max_registers = {limit}\nholes = {holes}")
    assert len(plan(profile).blocks) == fewest(profile)
