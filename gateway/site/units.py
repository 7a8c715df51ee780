"""Durations, powers and ratios as people write them in site.toml. Each refuses what it does not know."""

from __future__ import annotations

import re
from fractions import Fraction

_DURATION = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_POWER = {"W": 1, "kW": 1000, "MW": 1_000_000, "VA": 1, "kVA": 1000, "MVA": 1_000_000}
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)"
DURATION = rf"^ *{_NUMBER} *(ms|s|min|m|h|d) *$"
POWER = rf"^ *{_NUMBER} *([kM]?(?:W|VA)) *$"
RATIO = rf"^ *{_NUMBER} *[/:] *{_NUMBER} *$"
DURATION_MAX_MS = 366 * 86_400_000
POWER_MAX_W = 5_000_000_000
RATIO_MAX = 1_000_000


def duration_ms(text: object) -> int:
    """`"10s"`, `"15m"`, `"500ms"`, `"1h"` → milliseconds. Raises ValueError."""
    match = re.match(DURATION, text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'a duration is text with a unit: write "10s" or "15m" instead of {shown(text)}')
    value = Fraction(match[1]) * _DURATION[match[2]]
    if value.denominator != 1 or not 0 < value <= DURATION_MAX_MS:
        raise ValueError(f"a duration is a whole number of milliseconds, 1ms to 366d, not {shown(text)}")
    return int(value)


def power_mw(text: object) -> int:
    """`"250 kW"` → milliwatt. Raises ValueError."""
    match = re.match(POWER, text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'a power is text with a unit: write "250 kW" instead of {shown(text)}')
    value = Fraction(match[1]) * _POWER[match[2]]
    if not 1 <= value <= POWER_MAX_W:
        raise ValueError(f"a rated power lies between 1 W and 5000 MW, {shown(text)} does not")
    return round(value * 1000)


def ratio(text: object) -> Fraction:
    """`"200/5"` → 40. A ratio below 1 is refused: it is nearly always written the wrong way round."""
    match = re.match(RATIO, text) if isinstance(text, str) else None
    if match is None or not Fraction(match[2]):
        raise ValueError(f'a transformer ratio is primary/secondary: write "200/5" instead of {shown(text)}')
    value = Fraction(match[1]) / Fraction(match[2])
    if value < 1:
        raise ValueError(f'{shown(text)} is below 1: write primary first, e.g. "{match[2]}/{match[1]}"')
    if value > RATIO_MAX:
        raise ValueError(f'{shown(text)} is above 1000000: write the transformer\'s plate, e.g. "200/5"')
    return value


def duration_text(ms: int) -> str:
    """The shortest way to write it: 900000 → `15m`."""
    for unit in ("d", "h", "m", "s"):
        if ms % _DURATION[unit] == 0:
            return f"{ms // _DURATION[unit]}{unit}"
    return f"{ms}ms"


def power_text(mw: int) -> str:
    """250000000 → `250 kW`."""
    for unit in ("MW", "kW"):
        if mw >= _POWER[unit] * 1000:
            return f"{_decimal(Fraction(mw, _POWER[unit] * 1000))} {unit}"
    return f"{_decimal(Fraction(mw, 1000))} W"


def ratio_text(value: Fraction) -> str:
    """40 → `40/1`."""
    return f"{value.numerator}/{value.denominator}"


def _decimal(value: Fraction) -> str:
    return f"{float(value):.9f}".rstrip("0").rstrip(".")


def shown(value: object) -> str:
    """As it stands in the file, on one line and cut: a pasted megabyte does not belong into a message."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    text = "".join(c if c.isprintable() else "�" for c in text[:41])
    return text if len(text) <= 40 else text[:37] + "…"
