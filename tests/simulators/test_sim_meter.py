"""A meter's answers over its true energy: registers, roll-over, reset, value faults, and the record of them."""

import struct
from collections.abc import Mapping

import pytest

from engine.errors import ConfigError
from simulators.load_shape import Constant, Load
from simulators.plant import Plant
from simulators.register_map import parse_map
from simulators.sim_meter import SimMeter

START_MS = 1_767_603_600_000  # 2026-01-05T09:00:00Z
KW = 1_000_000
INTEGER = """
protocols = ["modbus-rtu"]
function = 3
missing = { uint32 = [0xFFFFFFFF], int32 = [0x7FFFFFFF] }
identify = { address = 0x8960, type = "uint32", expect = 0x42323320 }
scales = [{ name = "ct", address = 20, type = "uint16" }]
readings = [
  { quantity = "active_energy_import", address = 0, type = "uint32", scale = 10, refs = ["ct"] },
  { quantity = "active_energy_export", address = 2, type = "uint32", scale = 10, refs = ["ct"] },
  { quantity = "active_power", address = 4, type = "int32", scale = 0.01 },
  { quantity = "active_power_l1", address = 6, type = "int32", scale = 0.01 },
  { quantity = "active_power_l2", address = 8, type = "int32", scale = 0.01 },
  { quantity = "active_power_l3", address = 10, type = "int32", scale = 0.01 },
]
"""
FLOATING = """
protocols = ["modbus-tcp"]
function = 4
max_registers = 40
holes = [[0, 20]]
counter_wrap = { modulus = "1e9", unit = "Wh" }
sums = { active_energy_import = ["active_energy_import_t1", "active_energy_import_t2"] }
readings = [
  { quantity = "active_energy_import_t1", address = 0, type = "float64" },
  { quantity = "active_energy_import_t2", address = 4, type = "float64" },
  { quantity = "active_power", address = 10, type = "float32" },
  { quantity = "apparent_power", address = 12, type = "float32" },
  { quantity = "power_factor", address = 14, type = "float32", form = "pf-4q" },
]
"""


def build(
    text: str,
    load: Load | None = None,
    *,
    starts_mwh: Mapping[str, int] | None = None,
    scales: Mapping[str, int] | None = None,
) -> SimMeter:
    """A meter of a map, by default with 36 kW: 10 Wh a second."""
    return SimMeter(
        "m",
        parse_map("m", text),
        load or Constant(36 * KW),
        start_ms=START_MS,
        starts_mwh=starts_mwh,
        scales=scales,
    )


def read(meter: SimMeter, function: int, address: int, count: int, seconds: float) -> bytes:
    """Register bytes of a read that must succeed."""
    pdu = meter.answer(struct.pack(">BHH", function, address, count), START_MS + round(seconds * 1000))
    assert pdu[:2] == bytes((function, 2 * count)), pdu.hex()
    return pdu[2:]


def counter(meter: SimMeter, seconds: float) -> int:
    return int.from_bytes(read(meter, 3, 0, 2, seconds), "big")


def test_a_counter_shows_the_floor_of_its_true_energy() -> None:
    meter = build(INTEGER, starts_mwh={"active_energy_import": 999_999})
    assert [counter(meter, s) for s in (0, 0.0001, 0.001, 1, 1.5, 2)] == [99, 99, 100, 100, 101, 101]


def test_scale_registers_are_shown_and_applied() -> None:
    meter = build(INTEGER, starts_mwh={"active_energy_import": 4_000_000_000}, scales={"ct": 40})
    assert counter(meter, 0) == 10_000
    assert read(meter, 3, 20, 1, 0) == b"\x00\x28"


def test_phases_add_up_to_the_total() -> None:
    total, *phases = struct.unpack(">4i", read(build(INTEGER, Constant(12_345_670, 0)), 3, 4, 8, 0))
    assert total == 1_234_567
    assert abs(sum(phases) - total) <= 1


def test_the_identity_register_answers() -> None:
    assert read(build(INTEGER), 3, 0x8960, 2, 0) == b"B23 "


def test_power_factor_and_apparent_power_follow_p_and_q() -> None:
    lagging, leading = build(FLOATING, Constant(3 * KW, 4 * KW)), build(FLOATING, Constant(3 * KW, -4 * KW))
    returned = build(FLOATING, Constant(-3 * KW, 4 * KW))
    shown = [struct.unpack(">3f", read(meter, 4, 10, 6, 0)) for meter in (lagging, leading, returned)]
    assert [pytest.approx(values) for values in shown] == [
        (3000, 5000, 0.6), (3000, 5000, 1.4), (-3000, 5000, -1.4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        ("05 0000 ff00", "8501"),  # no such function
        ("03 0000 0001", "8302"),  # the other function's table is empty
        ("04 0014 0002", "8402"),  # beyond the rows and holes
        ("04 0000 0000", "8403"),
        ("04 0000 0029", "8403"),  # above the meter's own limit of 40
        ("04 0000", "8403"),
    ],
)
def test_what_cannot_be_read_is_an_exception(request_pdu: str, answer: str) -> None:
    assert build(FLOATING).answer(bytes.fromhex(request_pdu), START_MS).hex() == answer


def test_holes_read_as_zero_only_where_the_map_allows() -> None:
    assert read(build(FLOATING), 4, 8, 2, 0) == bytes(4)
    assert build(INTEGER).answer(bytes.fromhex("03 0009 000b"), START_MS).hex() == "8302"


def test_half_a_value_is_half_of_its_bytes() -> None:
    meter = build(INTEGER, Constant(70_000_000))
    assert read(meter, 3, 5, 1, 0) == read(meter, 3, 4, 2, 0)[2:]


def test_a_counter_rolls_over_and_the_record_counts_on() -> None:
    meter = build(INTEGER)
    plant = Plant([meter], lambda: START_MS)
    plant.order("m:rollover=25")  # 25 Wh below 2^32 counts of 10 Wh
    assert [counter(meter, s) for s in (0, 1, 2, 3, 4)] == [2**32 - 3, 2**32 - 2, 2**32 - 1, 0, 1]
    shown = meter.shown.report()["counters"]["active_energy_import"]
    assert shown == {
        "first_mwh": (2**32 - 3) * 10_000, "last_mwh": 10_000, "delivered_mwh": 40_000, "resets": 0,
    }  # fmt: skip


def test_tariffs_roll_over_at_the_modulus_of_their_map_and_are_recorded_as_one_counter() -> None:
    meter = build(FLOATING, starts_mwh={"active_energy_import": 5_000})
    Plant([meter], lambda: START_MS).order("m:rollover=15")
    first = struct.unpack(">dd", read(meter, 4, 0, 8, 0))
    last = struct.unpack(">dd", read(meter, 4, 0, 8, 2))
    assert (first[0], last[0]) == (999_999_985.0, 5.0)
    assert meter.shown.report()["counters"]["active_energy_import"]["delivered_mwh"] == 20_000


def test_a_meter_without_modulus_refuses_to_roll_over() -> None:
    text = INTEGER.replace('type = "uint32", scale = 10', 'type = "float32", scale = 10')
    with pytest.raises(ConfigError, match="m cannot play the fault rollover"):
        Plant([build(text)], lambda: START_MS).order("m:rollover")


def test_a_reset_starts_from_zero_at_its_own_time_and_breaks_the_record() -> None:
    meter = build(INTEGER, starts_mwh={"active_energy_import": 1_000_000})
    Plant([meter], lambda: START_MS).order("m:reset@3s")
    assert [counter(meter, s) for s in (0, 2, 5, 6)] == [100, 102, 2, 3]
    shown = meter.shown.report()["counters"]["active_energy_import"]
    assert shown == {"first_mwh": 1_000_000, "last_mwh": 30_000, "delivered_mwh": 30_000, "resets": 1}
    assert meter.energy.totals[0] == 36 * KW * 6_000  # what truly flowed knows no reset


def test_a_transient_zero_is_logged_and_leaves_the_record_alone() -> None:
    meter = build(INTEGER, starts_mwh={"active_energy_import": 1_000_000})
    Plant([meter], lambda: START_MS).order("m:zero@2s+1s")
    assert [counter(meter, s) for s in (0, 1, 2, 3)] == [100, 101, 0, 103]
    assert meter.shown.report()["counters"]["active_energy_import"]["delivered_mwh"] == 30_000
    assert [in_order for _, _, in_order in meter.shown.log] == [True, True, False, True]


def test_nan_is_nan_in_floats_and_the_marker_in_integers() -> None:
    integer, floating = build(INTEGER), build(FLOATING)
    for meter in (integer, floating):
        Plant([meter], lambda: START_MS).order("m:nan+5s")
    assert read(integer, 3, 0, 6, 1).hex() == "ffffffff" * 2 + "7fffffff"
    assert read(floating, 4, 10, 2, 1).hex() == "7fc00000"
    assert read(integer, 3, 20, 1, 1) == b"\x00\x01"  # the ratio is no measurement
    assert integer.shown.answers == 0
    assert counter(integer, 5) == 5


def test_a_stuck_meter_repeats_itself_and_then_tells_the_truth() -> None:
    meter = build(INTEGER)
    Plant([meter], lambda: START_MS).order("m:stuck@2s+2s")
    assert [counter(meter, s) for s in (1, 2, 3, 3.9, 4)] == [1, 2, 2, 2, 4]
    assert meter.shown.report()["counters"]["active_energy_import"]["delivered_mwh"] == 30_000


def test_only_whole_counters_enter_the_record() -> None:
    meter = build(INTEGER)
    read(meter, 3, 0, 1, 0)
    assert meter.shown.answers == 0


def test_truth_tells_what_flowed_and_what_was_shown() -> None:
    meter = build(INTEGER, Constant(-36 * KW, 18 * KW), starts_mwh={"active_energy_export": 70_000})
    plant = Plant([meter], lambda: START_MS)
    read(meter, 3, 0, 4, 0)
    read(meter, 3, 0, 4, 3.5)
    truth = plant.truth()["meters"]["m"]
    assert truth["true_mwh"]["active_energy_export"] == 35_000
    assert truth["true_mwh"]["reactive_energy_import"] == 17_500
    assert (truth["answers"], truth["first_ms"], truth["last_ms"]) == (2, START_MS, START_MS + 3_500)
    assert truth["counters"]["active_energy_export"] == {
        "first_mwh": 70_000, "last_mwh": 100_000, "delivered_mwh": 30_000, "resets": 0,
    }  # fmt: skip
    assert truth["log"][-1] == [START_MS + 3_500, {"active_energy_import": 0, "active_energy_export": 100_000}, True]


def test_two_meters_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two simulated meters"):
        Plant([build(INTEGER), build(INTEGER)], lambda: START_MS)
