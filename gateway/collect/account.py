"""Accounting while collecting: due, attempted, answered, valid and the cause of each miss, per meter.

These counts are the only ones in the house; status, page and delivery proof read them from the log. What is
due follows from the clock alone, so no tick can be forgotten by the code that serves it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from gateway.collect.schedule import ticks_between
from gateway.store.rows import Counts


class _Tally:
    __slots__ = ("answered", "attempted", "due", "missed", "valid")

    def __init__(self) -> None:
        self.due = self.attempted = self.answered = self.valid = 0
        self.missed: dict[str, int] = {}

    def counts(self) -> Counts:
        return Counts(self.due, self.attempted, self.answered, self.valid, dict(self.missed))


class Account:
    """Counts since the last cut."""

    def __init__(self, interval_ms: Mapping[str, int], now_ms: int) -> None:
        self._interval_ms = dict(interval_ms)
        self._through_ms = now_ms
        self._tallies = {meter: _Tally() for meter in self._interval_ms}

    def polled(self, meter: str, *, answered: bool, valid: bool, cause: str = "meter") -> None:
        """One tick was attempted; `cause` of the miss where no valid reading came of it."""
        tally = self._tallies[meter]
        tally.attempted += 1
        tally.answered += answered
        tally.valid += valid
        if not valid:
            self.missed(meter, 1, cause)

    def missed(self, meter: str, ticks: int, cause: str) -> None:
        """Ticks that were not attempted: backed off, overloaded bus, box off."""
        if ticks:
            missed = self._tallies[meter].missed
            missed[cause] = missed.get(cause, 0) + ticks

    def box_off(self, since_ms: int, known: Container[str]) -> int:
        """Book the ticks from the last commit to now to the box, for meters known then; how many in all."""
        total = 0
        for meter, interval in self._interval_ms.items():
            if meter not in known:
                continue
            ticks = ticks_between(interval, since_ms, self._through_ms)
            self._tallies[meter].due += ticks
            self.missed(meter, ticks, "box")
            total += ticks
        return total

    def stepped(self, before_ms: int, after_ms: int) -> None:
        """The clock was stepped: ticks that never existed are not due, ticks of an hour lived twice are."""
        self._fall_due(before_ms)
        self._through_ms = after_ms

    def _fall_due(self, now_ms: int) -> None:
        for meter, tally in self._tallies.items():
            tally.due += ticks_between(self._interval_ms[meter], self._through_ms, now_ms)
        self._through_ms = max(self._through_ms, now_ms)

    def cut(self, now_ms: int) -> dict[str, Counts]:
        """The counts up to `now_ms`; counting starts anew."""
        self._fall_due(now_ms)
        done = {
            meter: tally.counts()
            for meter, tally in self._tallies.items()
            if tally.due or tally.attempted or tally.missed
        }
        self._tallies = {meter: _Tally() for meter in self._interval_ms}
        return done
