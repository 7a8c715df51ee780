"""The load curve: arithmetic on literals."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.web.load import POINTS_MAX, STEPS_S, build_curve, choose_step_s

HOUR_MS = 3_600_000


def slot(number: int, mwh: int, *, seconds: int = 60, meters: int = 1) -> dict[str, Any]:
    return {"slot": number, "mwh": mwh, "seconds": seconds, "meters": meters}


def test_one_kwh_in_an_hour_is_one_kilowatt() -> None:
    assert build_curve([slot(0, 1_000_000, seconds=3600)], 0, 3600, 1).mean_power_w == (1000.0,)


def test_export_is_negative_power() -> None:
    assert build_curve([slot(0, -500_000, seconds=3600)], 0, 3600, 1).mean_power_w == (-500.0,)


def test_a_step_without_intervals_is_unknown_and_not_zero() -> None:
    curve = build_curve([slot(0, 1000), slot(2, 3000)], 0, 60, 1)
    assert curve.mean_power_w == (60.0, None, 180.0)
    assert curve.coverage == (1.0, 0.0, 1.0)


def test_the_powers_of_several_meters_add_up() -> None:
    curve = build_curve([slot(0, 5000, seconds=120, meters=2)], 0, 60, 2)
    assert curve.mean_power_w == (300.0,)
    assert curve.coverage == (1.0,)


def test_a_missing_meter_lowers_the_coverage_not_the_power_of_the_others() -> None:
    curve = build_curve([slot(0, 4000, seconds=60, meters=1), slot(1, 0, seconds=120, meters=2)], 0, 60, 2)
    assert curve.mean_power_w == (240.0, 0.0)
    assert curve.coverage == (0.5, 1.0)


def test_half_a_step_shows_the_mean_of_the_known_half() -> None:
    assert build_curve([slot(0, 1000, seconds=30)], 0, 60, 1).mean_power_w == (120.0,)


def test_a_last_step_that_still_fills_is_left_to_the_live_value() -> None:
    full, filling = slot(0, 4000, seconds=120, meters=2), slot(1, 2000, seconds=60, meters=1)
    assert build_curve([full, filling], 0, 60, 2).mean_power_w == (120.0 * 2,)


def test_a_last_step_as_incomplete_as_the_one_before_stays() -> None:
    dead = [slot(n, 2000, seconds=60, meters=1) for n in range(3)]
    assert len(build_curve(dead, 0, 60, 2).mean_power_w) == 3


def test_no_rows_are_an_empty_curve() -> None:
    assert build_curve([], 0, 60, 3).mean_power_w == ()


@pytest.mark.parametrize(
    ("interval_ms", "extent_ms", "step_s"),
    [
        (900_000, 24 * HOUR_MS, 900),
        (900_000, 25 * HOUR_MS, 900),
        (10_000, 60_000, 10),
        (10_000, 2 * HOUR_MS, 10),
        (10_000, 2 * HOUR_MS + 1, 30),
        (10_000, 24 * HOUR_MS, 300),
        (60_000, 24 * HOUR_MS, 300),
        (50_000, HOUR_MS, 300),
        (20_000, 24 * HOUR_MS, 300),
    ],
)
def test_the_step_is_the_finest_that_keeps_the_curve_bounded(interval_ms: int, extent_ms: int, step_s: int) -> None:
    assert choose_step_s(interval_ms, extent_ms) == step_s
    assert extent_ms <= step_s * 1000 * POINTS_MAX


def test_every_energy_interval_has_a_step_for_the_longest_day() -> None:
    divisors = [s for s in range(10, 901) if 900 % s == 0]
    for seconds in divisors:
        step = choose_step_s(seconds * 1000, 25 * HOUR_MS)
        assert step in STEPS_S
        assert step % seconds == 0
