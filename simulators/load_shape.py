"""Load shapes: pure functions of (seed, time) that give integer power. Same seed, same time, same load.

A shape is called with UTC ms and returns (active power [mW], reactive power [mvar]); sign law as in
engine/quantity.py: + = import, inductive. `utc_offset_ms` shifts UTC to the plant's local day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

DAY_S = 86_400
_MASK = (1 << 64) - 1


class Load(Protocol):
    """Power at an instant: (active [mW], reactive [mvar])."""

    def __call__(self, t_ms: int, /) -> tuple[int, int]: ...


def mix(seed: int, n: int) -> int:
    """64 well-mixed bits of (seed, n): the only source of chance here."""
    x = (seed * 0x9E3779B97F4A7C15 + n * 0xD1B54A32D192ED03 + 0x8CB92BA72F3D8DD7) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def wobble(seed: int, t_s: int, span: int, period_s: int = 30) -> int:
    """Smooth chance in -span..span: straight lines between lattice points `period_s` apart."""
    n, inside = divmod(t_s, period_s)
    before = mix(seed, n) % (2 * span + 1) - span
    after = mix(seed, n + 1) % (2 * span + 1) - span
    return (before * (period_s - inside) + after * inside) // period_s


@dataclass(frozen=True, slots=True)
class Constant:
    """A load that never changes."""

    power_mw: int
    reactive_mvar: int = 0

    def __call__(self, t_ms: int, /) -> tuple[int, int]:
        return self.power_mw, self.reactive_mvar


@dataclass(frozen=True, slots=True)
class Shifts:
    """A production line: early shift 6-14 h, late shift 14-22 h at 85 %, night, weekend, lunch dip 12-12:30.

    `tan_milli` is Q/P in thousandths. `ripple_milli` is the load's own restlessness in thousandths.
    """

    seed: int
    day_mw: int
    night_mw: int
    weekend_mw: int
    tan_milli: int = 600
    ripple_milli: int = 80
    utc_offset_ms: int = 0

    def __call__(self, t_ms: int, /) -> tuple[int, int]:
        local_s = (t_ms + self.utc_offset_ms) // 1000
        day, second = divmod(local_s, DAY_S)
        level = self._level(weekday=(day + 3) % 7, second=second)  # 1970-01-01 was a Thursday (3)
        power = level * (1000 + wobble(self.seed, local_s, self.ripple_milli)) // 1000
        return power, power * self.tan_milli // 1000

    def _level(self, *, weekday: int, second: int) -> int:
        if weekday >= 5:
            return self.weekend_mw
        if not 21_600 <= second < 79_200:
            return self.night_mw
        if 43_200 <= second < 45_000:
            return max(self.night_mw, self.day_mw * 45 // 100)
        return self.day_mw if second < 50_400 else self.day_mw * 85 // 100


@dataclass(frozen=True, slots=True)
class Motor:
    """A drive that starts about each `cycle_s`: 2 s at four times its power, power factor poor, then runs."""

    seed: int
    run_mw: int
    idle_mw: int
    cycle_s: int
    run_s: int

    def __call__(self, t_ms: int, /) -> tuple[int, int]:
        cycle, inside = divmod(t_ms // 1000, self.cycle_s)
        start = mix(self.seed, cycle) % max(1, self.cycle_s - self.run_s - 2)
        since = inside - start
        if not 0 <= since < self.run_s + 2:
            return self.idle_mw, self.idle_mw
        if since < 2:
            return 4 * self.run_mw, 8 * self.run_mw
        power = self.run_mw * (1000 + wobble(self.seed, t_ms // 1000, 60, 7)) // 1000
        return power, power * 700 // 1000


@dataclass(frozen=True, slots=True)
class Compressor:
    """Loads and unloads: in each `cycle_s` it compresses for 40..80 % of the time and idles for the rest."""

    seed: int
    load_mw: int
    idle_mw: int
    cycle_s: int = 90

    def __call__(self, t_ms: int, /) -> tuple[int, int]:
        cycle, inside = divmod(t_ms // 1000, self.cycle_s)
        busy_s = self.cycle_s * (40 + mix(self.seed, cycle) % 41) // 100
        if inside >= busy_s:
            return self.idle_mw, self.idle_mw * 2
        power = self.load_mw * (1000 + wobble(self.seed, t_ms // 1000, 15, 5)) // 1000
        return power, power * 540 // 1000


@dataclass(frozen=True, slots=True)
class Photovoltaic:
    """Generation from 6 to 18 h local time, a parabola under clouds: power < 0. By night `standby_mw`."""

    seed: int
    peak_mw: int
    standby_mw: int = 12_000
    utc_offset_ms: int = 0

    def __call__(self, t_ms: int, /) -> tuple[int, int]:
        local_s = (t_ms + self.utc_offset_ms) // 1000
        sun_s = local_s % DAY_S - 21_600
        if not 0 < sun_s < 43_200:
            return self.standby_mw, -self.standby_mw
        clear = 4 * self.peak_mw * sun_s * (43_200 - sun_s) // 43_200**2
        power = clear * (800 + wobble(self.seed, local_s, 200, 45)) // 1000
        return self.standby_mw - power, power * 30 // 1000


@dataclass(frozen=True, slots=True)
class Sum:
    """Several loads behind one meter."""

    loads: tuple[Load, ...]

    def __call__(self, t_ms: int, /) -> tuple[int, int]:
        powers = [load(t_ms) for load in self.loads]
        return sum(p for p, _ in powers), sum(q for _, q in powers)
