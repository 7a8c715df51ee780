"""Due follows from the clock; every miss has a cause; nothing is counted twice."""

from gateway.collect.account import Account


def test_due_counts_the_grid_points_even_if_nobody_served_them() -> None:
    account = Account({"a": 1000, "b": 10_000}, now_ms=500)
    counts = account.cut(20_500)
    assert (counts["a"].due, counts["b"].due) == (20, 2)
    assert (counts["a"].attempted, counts["a"].valid) == (0, 0)


def test_two_cuts_share_no_tick() -> None:
    account = Account({"a": 1000}, now_ms=0)
    assert account.cut(1000)["a"].due == 1
    assert account.cut(1000) == {}
    assert account.cut(2999)["a"].due == 1


def test_a_poll_without_a_valid_reading_has_a_cause() -> None:
    account = Account({"a": 1000}, now_ms=0)
    account.polled("a", answered=True, valid=True)
    account.polled("a", answered=False, valid=False, cause="bus")
    account.polled("a", answered=True, valid=False)
    account.missed("a", 2, "meter")
    counts = account.cut(5000)["a"]
    assert (counts.due, counts.attempted, counts.answered, counts.valid) == (5, 3, 2, 1)
    assert counts.missed == {"bus": 1, "meter": 3}


def test_ticks_while_the_box_was_off_are_booked_to_it() -> None:
    account = Account({"a": 1000, "b": 60_000}, now_ms=100_000)
    assert account.box_off(since_ms=40_000, known={"a", "b"}) == 61
    counts = account.cut(100_000)
    assert counts["a"].missed == {"box": 60}
    assert counts["b"].missed == {"box": 1}
    assert counts["a"].due == 60


def test_a_meter_that_is_new_missed_nothing_while_the_box_was_off() -> None:
    account = Account({"a": 1000}, now_ms=100_000)
    assert account.box_off(since_ms=40_000, known=set()) == 0


def test_a_miss_that_is_told_after_its_tick_was_counted_is_not_lost() -> None:
    account = Account({"a": 10_000}, now_ms=0)
    assert account.cut(10_500)["a"].due == 1
    account.missed("a", 1, "bus")
    assert account.cut(12_000)["a"].missed == {"bus": 1}


def test_a_step_of_the_clock_makes_no_tick_due_that_never_was() -> None:
    account = Account({"a": 1000}, now_ms=0)
    account.stepped(before_ms=2_500, after_ms=3_602_500)
    assert account.cut(3_604_500)["a"].due == 4
