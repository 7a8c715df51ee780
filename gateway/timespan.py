"""`--from`, `--to` and the API's `from`, `to`: a moment as people write it → UTC milliseconds. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.site.units import duration_ms

_EXAMPLES = 'write "2026-11-20", "2026-11-20T08:00", "2026-11-20T08:00:00Z" or "-24h"'
_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?", re.ASCII)
_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str, now_ms: int, zone: ZoneInfo) -> int:
    """`text` → UTC ms: RFC 3339, a local date (its midnight) or date-time in `zone`, `-24h` before `now_ms`.

    A local time that occurs twice (clocks go back) is its first occurrence. Raises ValueError, saying what
    to write instead, for anything else and for a local time that the change of clocks leaves out.
    """
    said = text.strip()
    if said.startswith("-"):
        return _not_before_1970(now_ms - _back(said), text)
    if _RFC3339.fullmatch(said):
        # Beyond microseconds the standard library raises; a millisecond is all that is kept.
        moment = _calendar(re.sub(r"(\.\d{6})\d+", r"\1", said.upper()), text)
        return _not_before_1970(_ms(moment), text)
    if _LOCAL.fullmatch(said):
        local = _calendar(said, text).replace(tzinfo=zone)
        _exists(local, text)
        return _not_before_1970(_ms(local), text)
    raise ValueError(f"{text!r} is not a time: {_EXAMPLES}")


def local_date(now_ms: int, zone: ZoneInfo) -> date:
    """The calendar day at `now_ms` in `zone`."""
    return datetime.fromtimestamp(now_ms / 1000, zone).date()


def day_bounds(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of a local day [UTC ms, half-open]: 23 or 25 hours long where clocks change."""
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    after = day + timedelta(days=1)
    return _ms(start), _ms(datetime(after.year, after.month, after.day, tzinfo=zone))


def utc_text(t_ms: int) -> str:
    """UTC ms → `2026-11-20T08:00:03.120Z`."""
    moment = _EPOCH + timedelta(milliseconds=t_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{t_ms % 1000:03d}Z"


def parse_utc(text: str) -> int:
    """`2026-11-20T08:00:03.120Z`, as the contract's rows carry it → UTC ms."""
    return _ms(datetime.fromisoformat(text))


def _back(said: str) -> int:
    try:
        return duration_ms(said[1:])
    except ValueError as error:
        raise ValueError(f"{said!r} is not a span back from now: {_EXAMPLES}") from error


def _calendar(said: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(said)
    except ValueError as error:
        raise ValueError(f"{text!r} is not in the calendar ({error}): {_EXAMPLES}") from error


def _exists(local: datetime, text: str) -> None:
    back = local.astimezone(UTC).astimezone(local.tzinfo)
    if back.replace(tzinfo=None) != local.replace(tzinfo=None):
        instead = back.strftime("%Y-%m-%dT%H:%M")
        raise ValueError(f"{text!r} does not exist in {local.tzinfo}: clocks went forward; write {instead}")


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _not_before_1970(t_ms: int, text: str) -> int:
    if t_ms < 0:
        raise ValueError(f"{text!r} lies before 1970: {_EXAMPLES}")
    return t_ms
