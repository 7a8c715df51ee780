"""Ticks lie on the grid, never drift, and are never queued."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.schedule import Schedule, ticks_between


def test_the_first_tick_is_the_next_grid_point() -> None:
    schedule = Schedule({"a": 10_000}, now_ms=1_700_000_003_500)
    assert schedule.next_ms() == 1_700_000_010_000
    assert schedule.take(1_700_000_009_999) is None


def test_a_tick_that_is_served_late_does_not_move_the_next_one() -> None:
    schedule = Schedule({"a": 1000}, now_ms=500)
    tick = schedule.take(1_700)
    assert tick is not None
    assert (tick.at_ms, tick.skipped) == (1000, 0)
    assert schedule.next_ms() == 2000


def test_ticks_that_passed_are_skipped_and_counted_not_queued() -> None:
    schedule = Schedule({"a": 1000}, now_ms=500)
    tick = schedule.take(5_300)
    assert tick is not None
    assert (tick.at_ms, tick.skipped) == (5000, 4)
    assert schedule.take(5_300) is None


def test_the_longest_waiting_meter_is_served_first() -> None:
    schedule = Schedule({"fast": 1000, "slow": 10_000}, now_ms=8_500)
    order = [tick.meter for _ in range(2) if (tick := schedule.take(10_000)) is not None]
    assert order == ["fast", "slow"]


@given(
    interval=st.sampled_from([100, 1000, 7_500, 60_000]),
    times=st.lists(st.integers(0, 10_000_000), min_size=1, max_size=40).map(sorted),
)
def test_served_and_skipped_ticks_are_all_the_ticks_there_were(interval: int, times: list[int]) -> None:
    schedule = Schedule({"a": interval}, now_ms=0)
    seen = 0
    for now_ms in times:
        tick = schedule.take(now_ms)
        seen += 1 + tick.skipped if tick else 0
    assert seen == ticks_between(interval, 0, times[-1])


def test_after_a_step_of_the_clock_no_tick_of_the_lost_hour_is_counted() -> None:
    schedule = Schedule({"a": 1000}, now_ms=0)
    schedule.realign(3_600_000)
    tick = schedule.take(3_601_000)
    assert tick is not None
    assert tick.skipped == 0
