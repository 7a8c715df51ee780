"""How long to wait before trying again: full jitter, so that a thousand gateways never return together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gateway.uplink.limits import Limits

Pace = Literal["quick", "slow"]  # slow: a refusal that only a human can end
FLOOR_MS = 50


def delay_ms(failures: int, pace: Pace, limits: Limits, random: Callable[[], float]) -> int:
    """Milliseconds to wait after the `failures`-th failure in a row (from 1); `random` gives 0 ≤ x < 1."""
    base, cap = (
        (limits.backoff_base_ms, limits.backoff_cap_ms)
        if pace == "quick"
        else (limits.backoff_slow_base_ms, limits.backoff_slow_cap_ms)
    )
    ceiling = min(cap, base << min(failures - 1, 20))
    return max(FLOOR_MS, int(random() * ceiling))
