"""Energy conservation: exact, monotone, independent of when it was asked for."""

import random

import pytest

from simulators.load_shape import Constant, Motor, Photovoltaic, Shifts, Sum
from simulators.true_energy import MWMS_PER_MWH, TrueEnergy, tariff_at

MONDAY_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z
HOUR_MS = 3_600_000


def staircase(t_ms: int) -> tuple[int, int]:
    """1 mW in the first second, 2 in the second … and reactive power of changing sign."""
    n = (t_ms - MONDAY_MS) // 1000
    return n + 1, (-1) ** n * 10


def test_one_kilowatt_for_an_hour_is_one_kilowatt_hour() -> None:
    energy = TrueEnergy(Constant(1_000_000, -500_000), MONDAY_MS)
    energy.advance(MONDAY_MS + HOUR_MS)
    imported, exported, q_in, q_out, _ = (total // MWMS_PER_MWH for total in energy.totals)
    assert (imported, exported, q_in, q_out) == (1_000_000, 0, 0, 500_000)


def test_a_changing_load_is_integrated_step_by_step() -> None:
    energy = TrueEnergy(staircase, MONDAY_MS)
    energy.advance(MONDAY_MS + 3_500)
    assert energy.totals[0] == 1_000 * (1 + 2 + 3) + 500 * 4
    assert energy.totals[2] == 10 * 2_000
    assert energy.totals[3] == 10 * 1_500


def test_a_step_holds_from_its_first_millisecond() -> None:
    energy = TrueEnergy(staircase, MONDAY_MS)
    energy.advance(MONDAY_MS + 2_999)
    assert energy.power_mw == 3
    energy.advance(MONDAY_MS + 3_000)
    assert energy.power_mw == 4


def test_energy_does_not_depend_on_when_it_was_asked_for() -> None:
    load = Sum((Shifts(5, 9_000_000, 2_000_000, 1_000_000), Motor(6, 3_000_000, 10_000, 20, 8)))
    chance = random.Random(1)
    often, once = TrueEnergy(load, MONDAY_MS + 123), TrueEnergy(load, MONDAY_MS + 123)
    t_ms = MONDAY_MS + 123
    for _ in range(500):
        t_ms += chance.randrange(1, 3_000)
        before = often.totals
        often.advance(t_ms)
        assert all(now >= then for now, then in zip(often.totals, before, strict=True))
    once.advance(t_ms)
    assert often.totals == once.totals


def test_a_time_in_the_past_changes_nothing() -> None:
    energy = TrueEnergy(staircase, MONDAY_MS)
    energy.advance(MONDAY_MS + 5_000)
    before = energy.totals
    energy.advance(MONDAY_MS + 1_000)
    assert energy.totals == before


def test_generation_is_export() -> None:
    noon = MONDAY_MS + 12 * HOUR_MS
    energy = TrueEnergy(Photovoltaic(1, 50_000_000), noon)
    energy.advance(noon + 60_000)
    assert energy.totals[0] == 0
    assert energy.totals[1] > 0


def test_the_sum_of_loads_carries_the_sum_of_their_energies() -> None:
    noon = MONDAY_MS + 12 * HOUR_MS
    loads = (Shifts(1, 20_000_000, 5_000_000, 2_000_000), Photovoltaic(2, 50_000_000), Motor(3, 4_000_000, 0, 30, 12))
    parts = [TrueEnergy(load, noon) for load in loads]
    whole = TrueEnergy(Sum(loads), noon)
    for energy in (*parts, whole):
        energy.advance(noon + 600_007)
    net = [energy.totals[0] - energy.totals[1] for energy in (whole, *parts)]
    assert net[0] == sum(net[1:])


@pytest.mark.parametrize(
    ("hour", "of_two", "of_four"), [(3, 1, 3), (6, 0, 2), (8, 0, 1), (13, 0, 2), (19, 0, 0), (22, 1, 3)]
)
def test_the_tariff_follows_the_local_hour(hour: int, of_two: int, of_four: int) -> None:
    t_ms, shanghai_ms = MONDAY_MS + (hour - 8) * HOUR_MS, 8 * HOUR_MS
    assert (tariff_at(t_ms, 2, shanghai_ms), tariff_at(t_ms, 4, shanghai_ms)) == (of_two, of_four)
    assert tariff_at(t_ms, 1, shanghai_ms) == 0


def test_tariffs_add_up_to_the_whole_across_their_border() -> None:
    start = MONDAY_MS + 21 * HOUR_MS + 1_800_000
    energy = TrueEnergy(Constant(1_000_000), start, tariffs=2)
    energy.advance(start + HOUR_MS + 1)
    day, night = energy.by_tariff(0)[0], energy.by_tariff(1)[0]
    assert day == 1_000_000 * 1_800_000
    assert night == 1_000_000 * 1_800_001
    assert day + night == energy.totals[0]


def test_a_step_that_does_not_divide_an_hour_is_refused() -> None:
    with pytest.raises(ValueError, match="step_ms must divide an hour"):
        TrueEnergy(staircase, MONDAY_MS, step_ms=7_001)
