"""While the disk refuses: a bound in time and bytes, the oldest readings go, each is booked to the disk."""

from engine.event import Event
from engine.reading import Reading
from gateway.collect.backlog import Backlog, weight
from gateway.store.commit import Commit
from gateway.store.rows import Counts


def _commit(t_ms: int, readings: int) -> Commit:
    rows = [Reading("a", t_ms + n, 1, n, "x", (1, 2)) for n in range(readings)]
    return Commit(t_ms, 1, rows, {"a": Counts(readings, readings, readings, readings)}, events=[Event(t_ms, "boot")])


def test_nothing_goes_while_it_fits() -> None:
    backlog = Backlog(keep_ms=60_000, keep_bytes=10**6)
    backlog.add(_commit(0, 5))
    assert backlog.shed(now_ms=60_000).total() == 0
    assert len(backlog.oldest().readings) == 5


def test_what_is_too_old_goes_and_is_booked_to_the_disk() -> None:
    backlog = Backlog(keep_ms=60_000, keep_bytes=10**6)
    backlog.add(_commit(0, 5))
    backlog.add(_commit(30_000, 3))
    assert backlog.shed(now_ms=61_000) == {"a": 5}
    oldest = backlog.oldest()
    assert list(oldest.readings) == []
    assert oldest.counts["a"].valid == 0
    assert oldest.counts["a"].missed == {"disk": 5}
    assert [e.kind for e in oldest.events] == ["boot"], "events are kept"
    assert backlog.shed(now_ms=62_000).total() == 0, "a reading is lost once"


def test_the_oldest_go_until_the_rest_fits_in_memory() -> None:
    backlog = Backlog(keep_ms=10**9, keep_bytes=weight(_commit(0, 4)))
    for n in range(3):
        backlog.add(_commit(n, 3))
    assert backlog.shed(now_ms=3) == {"a": 6}
    backlog.done()
    backlog.done()
    assert len(backlog.oldest().readings) == 3
