"""Ticks: when each meter is due. Pure. Ticks lie on the interval's grid of UTC and never drift."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tick:
    """Poll `meter` now. `skipped` ticks before this one passed unserved: they are counted, never queued."""

    meter: str
    at_ms: int
    skipped: int


class Schedule:
    """The next tick of every meter on one bus."""

    def __init__(self, interval_ms: Mapping[str, int], now_ms: int) -> None:
        self._interval_ms = dict(interval_ms)
        self._order = {meter: n for n, meter in enumerate(self._interval_ms)}
        self.realign(now_ms)

    def realign(self, now_ms: int) -> None:
        """Start anew after the clock was stepped: ticks that never existed are not counted as missed."""
        self._heap = [
            (now_ms - now_ms % interval + interval, self._order[meter], meter)
            for meter, interval in self._interval_ms.items()
        ]
        heapq.heapify(self._heap)

    def next_ms(self) -> int:
        """When the earliest tick is due."""
        return self._heap[0][0]

    def take(self, now_ms: int) -> Tick | None:
        """The meter whose tick is the oldest of those due, at its latest tick; None if nothing is due."""
        due_ms, order, meter = self._heap[0]
        if due_ms > now_ms:
            return None
        interval = self._interval_ms[meter]
        latest = now_ms - now_ms % interval
        heapq.heapreplace(self._heap, (latest + interval, order, meter))
        return Tick(meter, latest, (latest - due_ms) // interval)


def ticks_between(interval_ms: int, after_ms: int, until_ms: int) -> int:
    """Ticks in (after, until]: what was missed while the box was off."""
    return max(0, until_ms // interval_ms - after_ms // interval_ms)
