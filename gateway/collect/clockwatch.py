"""Is the box's time confirmed, and did it jump? First sync and steps over a second become `clock` rows."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.clock import Clock

STEP_MS = 1000
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # more than struct timex takes on any Linux


def kernel_synchronised() -> bool:
    """What the kernel was told by the NTP or PTP daemon, read by adjtimex(2) without changing anything."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    return bool(0 <= libc.adjtimex(timex) < _TIME_ERROR)


@dataclass(frozen=True, slots=True)
class Step:
    """The offset changed: `before_ms` and `after_ms` are the same instant on the old and the new scale."""

    cause: str  # start | sync | step
    mono_ms: int
    before_ms: int
    after_ms: int


@dataclass(slots=True)
class ClockWatch:
    """Ask it once a second. `synced` never goes back within a boot: a lost NTP server does not unmake the time."""

    clock: Clock
    confirmed: Callable[[], bool]
    synced: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.synced = self.confirmed()

    def look(self) -> Step | None:
        """A Step if the time was confirmed for the first time or jumped by more than a second."""
        cause = ""
        if not self.synced and self.confirmed():
            self.synced, cause = True, "sync"
        elif abs(self.clock.drift_ms()) > STEP_MS:
            cause = "step"
        if not cause:
            return None
        before_ms = self.clock.now_ms()
        mono_ms = self.clock.mono_ms()
        return Step(cause, mono_ms, before_ms, before_ms + self.clock.resync())
