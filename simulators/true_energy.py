"""True energy of a load: ∫P dt in exact integers, the reference that everything delivered is compared with.

Unit: mW·ms (mvar·ms, mVA·ms); 3,600,000 of them are 1 mWh. Power is constant within a step of `step_ms`
on the UTC grid, so the energy at any instant is exact and does not depend on when it was asked for.
"""

from __future__ import annotations

import math

from simulators.load_shape import Load

MWMS_PER_MWH = 3_600_000
HOUR_MS = 3_600_000
# What is integrated, in the order of `totals`.
INTEGRALS = (
    "active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export",
    "apparent_energy",
)  # fmt: skip
Totals = tuple[int, int, int, int, int]
_ZERO: Totals = (0, 0, 0, 0, 0)


def tariff_at(t_ms: int, tariffs: int, utc_offset_ms: int) -> int:
    """Index of the tariff in force. Two: day, night (22-6). Four: spike (18-20), peak (8-12), flat, night."""
    hour = (t_ms + utc_offset_ms) // HOUR_MS % 24
    night = hour < 6 or hour >= 22
    if tariffs < 4:
        return int(night and tariffs > 1)
    return 3 if night else 0 if 18 <= hour < 20 else 1 if 8 <= hour < 12 else 2


class TrueEnergy:
    """The integrals of one load from `start_ms` on, as a whole and per tariff."""

    def __init__(
        self, load: Load, start_ms: int, *, step_ms: int = 1000, tariffs: int = 1, utc_offset_ms: int = 0
    ) -> None:
        if step_ms <= 0 or HOUR_MS % step_ms:
            raise ValueError(f"step_ms must divide an hour, not {step_ms}")
        self._load = load
        self._step_ms = step_ms
        self._tariffs = tariffs
        self._utc_offset_ms = utc_offset_ms
        self.t_ms = start_ms
        self.totals: Totals = _ZERO
        self._ended: list[Totals] = [_ZERO] * tariffs  # per tariff, spells that are over
        self._tariff = tariff_at(start_ms, tariffs, utc_offset_ms)
        self._at_change: Totals = _ZERO
        self._border_ms = (start_ms // step_ms + 1) * step_ms
        self._take_power(self._border_ms - step_ms)

    def _take_power(self, step_start_ms: int) -> None:
        self.step_start_ms = step_start_ms
        self.power_mw, self.reactive_mvar = p, q = self._load(step_start_ms)
        self._rates: Totals = (max(p, 0), max(-p, 0), max(q, 0), max(-q, 0), math.isqrt(p * p + q * q))

    def advance(self, t_ms: int) -> None:
        """Integrate up to `t_ms`; a time in the past changes nothing."""
        while t_ms >= self._border_ms:
            self._add(self._border_ms)
            self._take_power(self._border_ms)
            if self._border_ms % HOUR_MS == 0:
                self._switch_tariff(self._border_ms)
            self._border_ms += self._step_ms
        if t_ms > self.t_ms:
            self._add(t_ms)

    def _add(self, t_ms: int) -> None:
        dt = t_ms - self.t_ms
        a, b, c, d, e = self.totals
        ra, rb, rc, rd, re = self._rates
        self.totals = (a + ra * dt, b + rb * dt, c + rc * dt, d + rd * dt, e + re * dt)
        self.t_ms = t_ms

    def _switch_tariff(self, t_ms: int) -> None:
        following = tariff_at(t_ms, self._tariffs, self._utc_offset_ms)
        if following != self._tariff:
            self._ended[self._tariff] = self.by_tariff(self._tariff)
            self._tariff, self._at_change = following, self.totals

    def by_tariff(self, index: int) -> Totals:
        """The integrals that fell into one tariff; all tariffs add up to `totals`."""
        if index != self._tariff:
            return self._ended[index]
        a, b, c, d, e = (
            x + y - z for x, y, z in zip(self._ended[index], self.totals, self._at_change, strict=True)
        )
        return a, b, c, d, e
