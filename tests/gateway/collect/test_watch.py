"""Trouble is told once, and its end."""

from engine.errors import BadFrame, LinkDown, NoReply
from engine.event import Event
from gateway.collect.watch import Watch


def _watch() -> tuple[Watch, list[Event]]:
    told: list[Event] = []
    return Watch(told.append), told


def test_silence_of_a_slow_meter_is_told_at_once_and_only_once() -> None:
    watch, told = _watch()
    for n in range(3):
        watch.failed("a", 10_000, NoReply("no answer within 1 s"), 1000 + n)
    assert [(e.kind, e.meter, e.t_ms) for e in told] == [("meter_silent", "a", 1000)]


def test_one_lost_answer_of_a_fast_meter_is_not_an_event() -> None:
    watch, told = _watch()
    watch.failed("a", 1000, NoReply("no answer"), 1000)
    watch.answered("a", 2000)
    assert told == []
    assert watch.trouble() == {}


def test_the_return_tells_how_long_it_was_away() -> None:
    watch, told = _watch()
    watch.failed("a", 10_000, BadFrame("crc"), 1_000)
    watch.answered("a", 31_500)
    assert [e.kind for e in told] == ["bad_answer", "meter_back"]
    assert told[1].data == {"seconds": 30}


def test_a_bus_that_is_down_is_one_event_not_one_per_meter() -> None:
    watch, told = _watch()
    for meter in "abc":
        watch.failed(meter, 10_000, LinkDown("refused"), 1000)
        watch.bus("hall", False, "refused", 1000)
    watch.bus("hall", True, "", 9_000)
    assert [(e.kind, e.bus) for e in told] == [("bus_down", "hall"), ("bus_up", "hall")]
    assert told[1].data == {"seconds": 8}
