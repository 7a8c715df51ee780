"""Durations, powers and ratios as people write them in site.toml. Each refuses what it does not know."""

from __future__ import annotations

import re
from fractions import Fraction

_DURATION = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_POWER = {"W": 1, "kW": 1000, "MW": 1_000_000, "VA": 1, "kVA": 1000, "MVA": 1_000_000}


def duration_ms(text: object) -> int:
    """`"10s"`, `"15m"`, `"500ms"`, `"1h"` → milliseconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'a duration needs its unit: write "10s", "15m" or "1h" instead of {text!r}')
    value = Fraction(match[1]) * _DURATION[match[2]]
    if value.denominator != 1 or value <= 0:
        raise ValueError(f"a duration must be a positive whole number of milliseconds, not {text!r}")
    return int(value)


def power_mw(text: object) -> int:
    """`"250 kW"` → milliwatt."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kM]?(?:W|VA))\s*", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'a power needs its unit: write "250 kW" instead of {text!r}')
    value = Fraction(match[1]) * _POWER[match[2]] * 1000
    if value <= 0:
        raise ValueError(f"a rated power must be above zero, not {text!r}")
    return round(value)


def ratio(text: object) -> Fraction:
    """`"200/5"` → 40. A ratio below 1 is refused: it is nearly always written the wrong way round."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*[/:]\s*(\d+(?:\.\d+)?)\s*", text) if isinstance(text, str) else None
    if match is None or not Fraction(match[2]):
        raise ValueError(f'a transformer ratio is primary/secondary: write "200/5" instead of {text!r}')
    value = Fraction(match[1]) / Fraction(match[2])
    if value < 1:
        raise ValueError(f'{text!r} is below 1: write primary first, e.g. "200/5"')
    return value
