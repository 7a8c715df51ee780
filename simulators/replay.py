"""A recorded load from a CSV file, plain or gzip, looped and shifted to now.

Two forms are read. The household form: a header with `Date;Time;Global_active_power;Global_reactive_power`
in front, day/month/year, kW and kvar, `?` where the recorder had nothing; each row is one minute, and the rows
are joined in the order of the file, so an excerpt of several days plays without its holes. The simple form:
`seconds,kw` or `seconds,kw,kvar`, each row in force until the next.
"""

from __future__ import annotations

import gzip
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from engine.errors import ConfigError

ROWS_MAX = 2_000_000
MINUTE_MS = 60_000
KW_MAX = Decimal(5_000_000)  # above the largest plant connection
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Recording:
    """Steps of a load: step n holds from `starts_ms[n]` to the next start; the last one to `length_ms`.

    A gap of the recording (`?`) is a step of zero power, so the recording's energy is that of its known
    rows; `gaps` counts them.
    """

    starts_ms: tuple[int, ...]
    powers: tuple[tuple[int, int], ...]  # (mW, mvar)
    length_ms: int
    gaps: int

    def at(self, offset_ms: int) -> tuple[int, int]:
        """(mW, mvar) at an offset from the start, looped."""
        return self.powers[bisect_right(self.starts_ms, offset_ms % self.length_ms) - 1]

    @property
    def shortest_ms(self) -> int:
        """The shortest step."""
        return min(b - a for a, b in zip(self.starts_ms, (*self.starts_ms[1:], self.length_ms), strict=True))

    def energy_mwms(self) -> int:
        """Net active energy of one pass [mW·ms]; 3,600,000 of them are 1 mWh."""
        ends = (*self.starts_ms[1:], self.length_ms)
        return sum(p * (b - a) for (p, _), a, b in zip(self.powers, self.starts_ms, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Replay:
    """A Load that plays a recording from `origin_ms` (UTC) on; `speed` seconds of it pass in one second."""

    recording: Recording
    origin_ms: int
    speed: int = 1

    def __call__(self, t_ms: int, /) -> tuple[int, int]:
        return self.recording.at((t_ms - self.origin_ms) * self.speed)


def load_recording(path: Path) -> Recording:
    """Read a recording. Raises ConfigError naming file and line."""
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            return parse_recording(lines, str(path))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"recording {path} cannot be read: {error}", hint=f"look at it with: zcat -f {path} | head"
        ) from error


def parse_recording(lines: Iterable[str], name: str) -> Recording:
    """Steps from CSV text. Raises ConfigError naming `name` and line."""
    rows = list(_rows(lines, name))
    if not rows:
        raise ConfigError(
            f"recording {name} has no rows", hint='write rows "seconds,kw,kvar" or "Date;Time;kW;kvar"'
        )
    starts = tuple(t - rows[0][0] for t, _ in rows)
    last_ms = starts[-1] - starts[-2] if len(rows) > 1 else 1000
    return Recording(
        starts_ms=starts,
        powers=tuple(power or (0, 0) for _, power in rows),
        length_ms=starts[-1] + last_ms,
        gaps=sum(power is None for _, power in rows),
    )


def _rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, tuple[int, int] | None]]:
    """(time [ms], power or None for a gap) per line; time must rise."""
    before_ms: int | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#") or (number == 1 and text[0].isalpha()):
            continue
        try:
            joined_ms = 0 if before_ms is None else before_ms + MINUTE_MS
            t_ms, power = (joined_ms, _household(text)) if ";" in text else _simple(text)
        except (ValueError, ArithmeticError) as error:
            raise ConfigError(
                f"recording {name}, line {number}: {text[:60]!r} is not a row",
                hint='write "seconds,kw,kvar" with a point as decimal sign, or the household form',
            ) from error
        if before_ms is not None and t_ms <= before_ms:
            raise ConfigError(
                f"recording {name}, line {number}: time does not rise",
                hint=f"sort the file by time: sort -n {name}",
            )
        if number > ROWS_MAX:
            raise ConfigError(
                f"recording {name} has more than {ROWS_MAX} rows", hint=f"cut it: head -n {ROWS_MAX} {name}"
            )
        before_ms = t_ms
        yield t_ms, power


def _household(text: str) -> tuple[int, int] | None:
    date, time, kw, kvar, *_ = text.split(";")
    datetime.strptime(f"{date} {time}", "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)  # raises on what is no time
    return _power(kw, kvar)


def _simple(text: str) -> tuple[int, tuple[int, int] | None]:
    seconds, kw, *rest = (part.strip() for part in text.split(","))
    if len(rest) > 1:
        raise ValueError("more than three columns")
    return int(Decimal(seconds) * 1000), _power(kw, rest[0] if rest else "0")


def _power(kw: str, kvar: str) -> tuple[int, int] | None:
    if kw in ("?", "") or kvar in ("?", ""):
        return None
    p, q = Decimal(kw), Decimal(kvar)
    if not (-KW_MAX <= p <= KW_MAX and -KW_MAX <= q <= KW_MAX):
        raise ValueError(f"power beyond {KW_MAX} kW")
    return int(p * _MILLION), int(q * _MILLION)
