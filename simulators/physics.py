"""What a three-phase meter measures while it carries active power P and reactive power Q. Pure integers.

Values are in sub-units (see SUBUNITS: mV, mA, mW, mHz, millidegree; a power factor in millionths). The
phases share P and Q by fixed thousandths, so Σ phases = total exactly and S² = P² + Q² to the integer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.quantity import PHASES, QUANTITIES
from simulators.load_shape import mix, wobble

NOMINAL_MV = 230_000
SUBUNITS: dict[str, int] = {q.id: 1_000_000 if q.unit == "1" else 1000 for q in QUANTITIES.values()}


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the meter hangs: its supply and how its phases share the load [thousandths]."""

    seed: int
    nominal_mv: int = NOMINAL_MV
    shares: tuple[int, int, int] = (340, 335, 325)


def split_phases(total: int, shares: tuple[int, int, int]) -> tuple[int, int, int]:
    """Three parts by thousandths that add up to `total` exactly."""
    first = total * shares[0] // 1000
    second = total * shares[1] // 1000
    return first, second, total - first - second


def instants(grid: Grid, t_ms: int, power_mw: int, reactive_mvar: int) -> dict[str, int]:
    """Every instant quantity at `t_ms` in sub-units."""
    t_s = t_ms // 1000
    p = split_phases(power_mw, grid.shares)
    q = split_phases(reactive_mvar, grid.shares)
    s = tuple(math.isqrt(a * a + b * b) for a, b in zip(p, q, strict=True))
    v = tuple(grid.nominal_mv + wobble(grid.seed + n, t_s, grid.nominal_mv // 100, 20) for n in range(3))
    i = tuple(a * 1000 // b for a, b in zip(s, v, strict=True))
    apparent = math.isqrt(power_mw * power_mw + reactive_mvar * reactive_mvar)
    out = {
        "active_power": power_mw,
        "reactive_power": reactive_mvar,
        "apparent_power": apparent,
        "power_factor": _power_factor(power_mw, apparent),
        "power_factor.4q": _four_quadrant(power_mw, reactive_mvar, apparent),
        "frequency": 50_000 + wobble(grid.seed + 3, t_s, 25, 10),
        "voltage_avg_l_n": sum(v) // 3,
        "current_avg": sum(i) // 3,
        "current_total": sum(i),
        "current_n": _neutral(i),
        "phase_angle": round(math.degrees(math.atan2(reactive_mvar, power_mw)) * 1000),
    }
    lines = []
    for n, phase in enumerate(PHASES):
        out[f"active_power_{phase}"] = p[n]
        out[f"reactive_power_{phase}"] = q[n]
        out[f"apparent_power_{phase}"] = s[n]
        out[f"power_factor_{phase}"] = _power_factor(p[n], s[n])
        out[f"power_factor_{phase}.4q"] = _four_quadrant(p[n], q[n], s[n])
        out[f"frequency_{phase}"] = out["frequency"]
        out[f"voltage_{phase}_n"] = v[n]
        out[f"current_{phase}"] = i[n]
        out[f"thd_voltage_{phase}"] = 1800 + mix(grid.seed, n) % 900
        out[f"thd_current_{phase}"] = 6500 + mix(grid.seed + 1, n) % 4000
        following = (n + 1) % 3
        lines.append(math.isqrt(v[n] ** 2 + v[following] ** 2 + v[n] * v[following]))  # 120° apart
        out[f"voltage_{phase}_{PHASES[following]}"] = lines[-1]
    out["voltage_avg_l_l"] = sum(lines) // 3
    return out


def _power_factor(power_mw: int, apparent_mva: int) -> int:
    """P/S in millionths, signed like P; 1 where nothing flows."""
    return power_mw * 1_000_000 // apparent_mva if apparent_mva else 1_000_000


def _four_quadrant(power_mw: int, reactive_mvar: int, apparent_mva: int) -> int:
    """Schneider's code: lagging is 0..±1, signed like P; leading (P, Q of unlike sign) is ±2 less that."""
    factor = _power_factor(power_mw, apparent_mva)
    if power_mw * reactive_mvar >= 0:
        return factor
    return (2_000_000 if power_mw > 0 else -2_000_000) - factor


def _neutral(i: tuple[int, ...]) -> int:
    """Magnitude of the sum of three currents 120° apart."""
    a, b, c = i
    return math.isqrt(max(0, a * a + b * b + c * c - a * b - b * c - c * a))
