"""A progress bar with the time left, on stderr; silent where stderr is not a terminal."""

from __future__ import annotations

import sys
import time

WIDTH = 30


class Progress:
    """Call `show(done, total)` as often as you like; it draws at most ten times a second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = time.monotonic()
        self._drawn = 0.0
        self._terminal = sys.stderr.isatty()

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._terminal or now - self._drawn < 0.1:
            return
        self._drawn = now
        share = done / total if total else 1.0
        left = (now - self._started) * (1 - share) / share if share > 0 else 0.0
        bar = "#" * int(WIDTH * share)
        print(f"\r{self._what} [{bar:<{WIDTH}}] {share:4.0%}, {left:.0f} s left ", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._terminal:
            print("\r" + " " * (WIDTH + len(self._what) + 24) + "\r", end="", file=sys.stderr, flush=True)
