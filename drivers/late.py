"""Which answers may still come: RTU frames carry no transaction id, a late one looks like the next. Pure.

A meter answers in the order it was asked, if at all. As long as a request of some shape (function, count)
may still be answered, a request of the same shape to that unit would take the late answer for its own. A
*probe* of another shape cannot: once it is answered, everything asked before it is past. For converters that
do not keep the order, a request of such a shape also waits one more time-out (`given_up_ns`).
"""

from __future__ import annotations

from dataclasses import replace

from drivers.guard import Request

LIMIT = 64  # requests that are remembered per unit; what was asked longer ago is past
_PROBE_COUNTS = (2, 1, 4, 3)


class LateAnswers:
    """The unanswered requests of one unit, in the order they were sent."""

    def __init__(self) -> None:
        self._open: list[tuple[int, int]] = []
        self.given_up_ns = 0  # when the last request was left unanswered

    def ambiguous(self, request: Request) -> bool:
        """Whether a late answer could be taken for the answer to `request`."""
        return (request.function, request.count) in self._open

    def probe(self, request: Request) -> Request:
        """A read whose answer is not taken for that to `request`, at best for that to no open one."""
        counts = [count for count in _PROBE_COUNTS if count != request.count]
        fresh = [count for count in counts if (request.function, count) not in self._open]
        return replace(request, count=(fresh or counts)[0])

    def unanswered(self, request: Request, now_ns: int) -> None:
        """The time-out passed, or something else came instead."""
        self.given_up_ns = now_ns
        self._open = [*self._open, (request.function, request.count)][-LIMIT:]

    def answered(self, request: Request, *, refused: bool = False) -> None:
        """An answer to `request` was taken. It may be a late one to the oldest open request that it fits."""
        sent = [*self._open, (request.function, request.count)]
        for place, (function, count) in enumerate(sent):
            if function == request.function and (refused or count == request.count):
                self._open = sent[place + 1 :]
                return
