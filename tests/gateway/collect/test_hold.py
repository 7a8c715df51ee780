"""A box without a confirmed clock: readings wait, then get the true time, or the flag."""

from engine.reading import Quality, Reading
from gateway.clock import Clock
from gateway.collect.clockwatch import ClockWatch
from gateway.collect.hold import Hold


class Times:
    """The system's two clocks, set by the test [ns]."""

    def __init__(self, wall_ms: int, mono_ms: int) -> None:
        self.wall_ns, self.mono_ns = wall_ms * 1_000_000, mono_ms * 1_000_000

    def pass_ms(self, ms: int) -> None:
        self.wall_ns += ms * 1_000_000
        self.mono_ns += ms * 1_000_000

    def step_ms(self, ms: int) -> None:
        self.wall_ns += ms * 1_000_000

    def clock(self) -> Clock:
        return Clock(lambda: self.wall_ns, lambda: self.mono_ns)


def _reading(clock: Clock) -> Reading:
    return Reading("a", clock.now_ms(), 1, clock.mono_ms(), "x", (), int(Quality.CLOCK_UNSYNCED))


def test_readings_from_1970_get_their_true_time_at_the_first_sync() -> None:
    times = Times(wall_ms=0, mono_ms=5_000)
    clock = times.clock()
    confirmed = [False]
    watch = ClockWatch(clock, lambda: confirmed[0])
    hold = Hold(clock, 3_600_000, synced=watch.synced)
    assert hold.waits
    hold.keep(_reading(clock))
    times.pass_ms(10_000)
    times.step_ms(1_700_000_000_000)
    confirmed[0] = True
    step = watch.look()
    assert step is not None
    assert (step.cause, step.before_ms, step.after_ms) == ("sync", 10_000, 1_700_000_010_000)
    hold.synced = True
    (reading,) = hold.settle()
    assert reading.t_ms == 1_700_000_000_000
    assert not reading.flags & Quality.CLOCK_UNSYNCED
    assert hold.waiting == 0


def test_without_a_sync_they_go_on_flagged_when_the_hold_is_over() -> None:
    times = Times(wall_ms=1_000_000, mono_ms=0)
    clock = times.clock()
    hold = Hold(clock, 60_000, synced=False)
    hold.keep(_reading(clock))
    times.pass_ms(59_999)
    assert not hold.over
    times.pass_ms(1)
    assert hold.over
    assert hold.waits, "a reading that comes now must not overtake those that wait"
    (reading,) = hold.settle()
    assert not hold.waits
    assert not hold.over
    assert (reading.t_ms, reading.flags) == (1_000_000, int(Quality.CLOCK_UNSYNCED))
    assert hold.flag == Quality.CLOCK_UNSYNCED


def test_a_step_of_an_hour_is_seen_in_both_directions_and_a_slew_is_not() -> None:
    times = Times(wall_ms=1_700_000_000_000, mono_ms=0)
    clock = times.clock()
    watch = ClockWatch(clock, lambda: True)
    times.step_ms(900)
    assert watch.look() is None
    times.step_ms(3_600_000)
    step = watch.look()
    assert step is not None
    assert (step.cause, step.after_ms - step.before_ms) == ("step", 3_600_900)
    times.step_ms(-3_600_000)
    back = watch.look()
    assert back is not None
    assert back.after_ms - back.before_ms == -3_600_000
    assert watch.look() is None


def test_each_held_reading_is_given_to_the_log_once() -> None:
    clock = Times(0, 0).clock()
    hold = Hold(clock, 60_000, synced=False)
    hold.keep(_reading(clock))
    assert len(hold.take()) == 1
    assert hold.take() == []
    assert hold.waiting == 1
