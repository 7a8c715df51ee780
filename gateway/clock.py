"""The one clock of the gateway: wall time at start + monotonic; it never goes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """UTC milliseconds that only go forward.

    `offset_ns` is wall minus monotonic time as of the last agreed sync. `drift_ms()` tells how far the
    system's wall clock has moved away; the caller decides to `resync()` and writes a clock row for it.
    The two sources are injected, so tests start in 1970 or step by an hour.
    """

    wall_ns: Callable[[], int] = time.time_ns
    mono_ns: Callable[[], int] = time.monotonic_ns
    offset_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.offset_ns = self.wall_ns() - self.mono_ns()

    def now_ms(self) -> int:
        return self.at_mono(self.mono_ns())

    def mono_ms(self) -> int:
        return self.mono_ns() // 1_000_000

    def at_mono(self, mono_ns: int) -> int:
        """UTC ms of a monotonic instant under the offset in force."""
        return (mono_ns + self.offset_ns) // 1_000_000

    def drift_ms(self) -> int:
        """Wall clock of the system minus ours."""
        return (self.wall_ns() - self.mono_ns() - self.offset_ns) // 1_000_000

    def resync(self) -> int:
        """Take over the system's wall clock; returns the step in ms (may be negative)."""
        step = self.drift_ms()
        self.offset_ns = self.wall_ns() - self.mono_ns()
        return step
