"""Late answers on RTU framing: whatever a slow meter does, no answer is taken for that to another request."""

from __future__ import annotations

import random

import pytest

from drivers.guard import Request, State, check_rtu
from drivers.late import LIMIT, LateAnswers

READ = Request(5, 4, 0, 20)


def test_without_unanswered_requests_nothing_is_ambiguous() -> None:
    late = LateAnswers()
    assert not late.ambiguous(READ)
    late.answered(READ)
    assert not late.ambiguous(READ)


def test_an_unanswered_request_makes_its_shape_ambiguous_and_no_other() -> None:
    late = LateAnswers()
    late.unanswered(READ, 1)
    assert late.ambiguous(READ)
    assert late.ambiguous(Request(5, 4, 100, 20))
    assert not late.ambiguous(Request(5, 4, 0, 21))
    assert not late.ambiguous(Request(5, 3, 0, 20))


def test_it_knows_when_the_last_request_was_given_up() -> None:
    late = LateAnswers()
    late.unanswered(READ, 5)
    late.unanswered(Request(5, 4, 0, 2), 9)
    assert late.given_up_ns == 9


def test_the_answer_to_a_probe_clears_what_was_asked_before_it() -> None:
    late = LateAnswers()
    late.unanswered(READ, 1)
    probe = late.probe(READ)
    assert probe.count != READ.count
    late.answered(probe)
    assert not late.ambiguous(READ)


def test_a_probe_never_has_the_shape_of_an_unanswered_request_if_another_is_left() -> None:
    late = LateAnswers()
    for _ in range(3):
        probe = late.probe(READ)
        assert not late.ambiguous(probe)
        late.unanswered(probe, 2)


def test_an_answer_that_may_be_late_leaves_the_younger_requests_open() -> None:
    late = LateAnswers()
    late.unanswered(READ, 1)
    probe = late.probe(READ)
    late.unanswered(probe, 2)
    late.answered(probe)  # perhaps the answer to the first probe: then the second one is still to come
    assert not late.ambiguous(READ)
    assert late.ambiguous(probe)


def test_an_exception_may_be_that_of_the_oldest_request() -> None:
    late = LateAnswers()
    late.unanswered(READ, 1)
    late.unanswered(Request(5, 4, 0, 8), 2)
    late.answered(Request(5, 4, 0, 2), refused=True)
    assert not late.ambiguous(READ)
    assert late.ambiguous(Request(5, 4, 0, 8))


def test_what_is_remembered_is_bounded() -> None:
    late = LateAnswers()
    late.unanswered(READ, 1)
    for _ in range(LIMIT):
        late.unanswered(Request(5, 4, 0, 2), 2)
    assert not late.ambiguous(READ)


@pytest.mark.parametrize("seed", range(20))
def test_a_meter_of_any_slowness_never_has_an_answer_taken_for_another(seed: int, frames: type) -> None:
    """A meter that answers in order, after 0 to 3 time-outs or never, to the requests of a line."""
    rng = random.Random(seed)
    late, queue, taken = LateAnswers(), [], 0  # queue: (ready at, frame) in the order asked
    for now in range(400):
        wanted = Request(5, 4, 0, rng.choice((2, 8, 20)))
        request = late.probe(wanted) if late.ambiguous(wanted) else wanted
        stamp = now.to_bytes(2, "big") * request.count  # the data say which request they answer
        ready = max([now + rng.choice((0,) * 12 + (1, 2, 3)), *(at for at, _ in queue)])
        if rng.random() < 0.95:
            answer = (5, 0x84, 2) if rng.random() < 0.1 else (5, 4, len(stamp), stamp)
            queue.append((ready, frames.rtu(*answer)))  # type: ignore[attr-defined]
        if rng.random() < 0.7:  # the drain hears what is late already
            queue = [(at, frame) for at, frame in queue if at >= now]
        due = [frame for at, frame in queue if at <= now]
        queue = [(at, frame) for at, frame in queue if at > now]
        verdict = check_rtu(request, due[0]) if due else None
        if verdict is not None and verdict.state in (State.ACCEPTED, State.EXCEPTION):
            late.answered(request, refused=verdict.state is State.EXCEPTION)
            if request is wanted and verdict.state is State.ACCEPTED:
                assert verdict.payload == stamp
                taken += 1
        else:
            late.unanswered(request, now)
    assert taken > 20
