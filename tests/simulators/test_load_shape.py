"""Load shapes: pure, seeded, and of the form that their names promise."""

from itertools import pairwise

import pytest

from simulators.load_shape import Compressor, Load, Motor, Photovoltaic, Shifts, wobble

MONDAY_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def shapes(seed: int) -> list[Load]:
    return [
        Shifts(seed, 60_000_000, 10_000_000, 5_000_000),
        Motor(seed, 20_000_000, 500_000, 40, 20),
        Compressor(seed, 37_000_000, 9_000_000),
        Photovoltaic(seed, 90_000_000),
    ]


@pytest.mark.parametrize("number", range(4))
def test_the_same_seed_gives_the_same_load_and_another_seed_another(number: int) -> None:
    times = range(MONDAY_MS + 9 * HOUR_MS, MONDAY_MS + 10 * HOUR_MS, 7_000)
    first, again, other = (shapes(seed)[number] for seed in (1, 1, 2))
    assert [first(t) for t in times] == [again(t) for t in times]
    assert [first(t) for t in times] != [other(t) for t in times]


def test_all_power_is_whole_milliwatts() -> None:
    values = [value for shape in shapes(3) for value in shape(MONDAY_MS + 11 * HOUR_MS + 1_234)]
    assert all(type(value) is int for value in values)


def test_shifts_know_day_lunch_late_night_and_weekend() -> None:
    load = Shifts(1, 100, 20, 7, ripple_milli=0)
    hours = {h: load(MONDAY_MS + h * HOUR_MS)[0] for h in (3, 9, 15, 23)}
    assert hours == {3: 20, 9: 100, 15: 85, 23: 20}
    assert load(MONDAY_MS + 12 * HOUR_MS)[0] == 45
    assert load(MONDAY_MS + 5 * DAY_MS + 9 * HOUR_MS)[0] == 7  # Saturday
    assert Shifts(1, 100, 20, 7, ripple_milli=0, utc_offset_ms=8 * HOUR_MS)(MONDAY_MS + HOUR_MS)[0] == 100


def test_a_motor_takes_four_times_its_power_for_two_seconds_at_a_start() -> None:
    load = Motor(5, 10_000_000, 0, 40, 20)
    powers = [load(MONDAY_MS + n * 1000)[0] for n in range(400)]
    assert powers.count(40_000_000) == 2 * 10
    assert powers.count(0) == 18 * 10


def test_a_compressor_alternates_between_load_and_idle() -> None:
    load = Compressor(5, 30_000_000, 9_000_000)
    idle = sum(load(MONDAY_MS + n * 1000)[0] == 9_000_000 for n in range(900))
    assert 0.2 * 900 <= idle <= 0.6 * 900


def test_the_sun_shines_by_day_only() -> None:
    load = Photovoltaic(1, 90_000_000, standby_mw=12)
    assert load(MONDAY_MS + 2 * HOUR_MS)[0] == 12
    assert -90_000_000 <= load(MONDAY_MS + 12 * HOUR_MS)[0] <= -50_000_000


def test_wobble_is_smooth_and_bounded() -> None:
    values = [wobble(9, t, 100) for t in range(3_000)]
    assert max(map(abs, values)) <= 100
    assert max(abs(b - a) for a, b in pairwise(values)) <= 200 // 30 + 1
    assert len(set(values)) > 50
