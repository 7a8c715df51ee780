"""Back-off: waits double up to a limit, and one success forgets them."""

from __future__ import annotations

from drivers.bus import Backoff


def test_waits_double_up_to_the_limit() -> None:
    backoff = Backoff(first_ms=1000, limit_ms=10_000)
    assert [backoff.failed(0) for _ in range(6)] == [1000, 2000, 4000, 8000, 10_000, 10_000]


def test_it_is_ready_at_once_and_then_when_the_wait_is_over() -> None:
    backoff = Backoff(first_ms=500)
    assert backoff.ready(0)
    backoff.failed(10_000)
    assert not backoff.ready(10_499)
    assert backoff.ready(10_500)


def test_a_success_starts_over() -> None:
    backoff = Backoff(first_ms=1000)
    backoff.failed(0)
    backoff.failed(0)
    backoff.succeeded()
    assert backoff.ready(0)
    assert backoff.failed(7) == 1000


def test_a_meter_dead_for_years_waits_no_longer_than_the_limit() -> None:
    backoff = Backoff()
    assert max(backoff.failed(0) for _ in range(2000)) == 60_000
