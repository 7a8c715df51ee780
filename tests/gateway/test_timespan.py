"""Moments as people write them on the command line and in a URL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.timespan import day_bounds, local_date, parse, utc_text

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = 1_795_248_000_000  # 2026-11-21T08:00:00Z


def ms(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T08:00:00Z", ms(2026, 11, 20, 8)),
        ("2026-11-20t08:00:00z", ms(2026, 11, 20, 8)),
        ("2026-11-20 08:00:00Z", ms(2026, 11, 20, 8)),
        ("2026-11-20T08:00:00.120Z", ms(2026, 11, 20, 8) + 120),
        ("2026-11-20T08:00:00.123999999Z", ms(2026, 11, 20, 8) + 123),
        ("2026-11-20T08:00:00+08:00", ms(2026, 11, 20, 0)),
        ("2026-11-19T19:30:00-05:30", ms(2026, 11, 20, 1)),
        ("2026-11-20", ms(2026, 11, 19, 16)),
        ("2026-11-20T08:00", ms(2026, 11, 20, 0)),
        ("2026-11-20 08:00:30", ms(2026, 11, 20, 0, 0, 30)),
        ("2026-11-20T08:00:00.5", ms(2026, 11, 20, 0) + 500),
        ("-24h", NOW_MS - 86_400_000),
        ("-15m", NOW_MS - 900_000),
        (" -7d ", NOW_MS - 7 * 86_400_000),
        ("-500ms", NOW_MS - 500),
    ],
)
def test_a_moment_is_read_as_it_is_written(text: str, expected: int) -> None:
    assert parse(text, NOW_MS, SHANGHAI) == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "24h", "-24", "-h", "20.11.2026", "2026-11", "2026-11-20T", "2026-11-20T8:00",
     "2026-13-01", "2026-02-30", "2026-11-20T24:30", "2026-11-20T08:00:00+25:00", "1234567890",
     "2026-11-20T08:00:00Z; drop", "٢٠٢٦-11-20", "-1e9d", "1969-12-31T00:00:00Z", "-99999999d"],
)  # fmt: skip
def test_what_is_not_a_moment_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match='write "2026-11-20"'):
        parse(text, NOW_MS, SHANGHAI)


def test_the_hour_that_comes_twice_means_its_first_occurrence() -> None:
    assert parse("2026-10-25T02:30", NOW_MS, BERLIN) == ms(2026, 10, 25, 0, 30)


def test_the_hour_that_is_left_out_is_refused_with_the_time_that_exists() -> None:
    with pytest.raises(ValueError, match=r"does not exist in Europe/Berlin.*write 2026-03-29T03:30"):
        parse("2026-03-29T02:30", NOW_MS, BERLIN)


def test_a_day_is_23_or_25_hours_long_where_clocks_change() -> None:
    hours = [(end - start) // 3_600_000 for start, end in (
        day_bounds(day, BERLIN) for day in (date(2026, 3, 29), date(2026, 3, 30), date(2026, 10, 25))
    )]  # fmt: skip
    assert hours == [23, 24, 25]


def test_the_day_begins_at_local_midnight() -> None:
    assert day_bounds(date(2026, 11, 20), SHANGHAI) == (ms(2026, 11, 19, 16), ms(2026, 11, 20, 16))


def test_the_calendar_day_is_the_one_of_the_site() -> None:
    late = ms(2026, 11, 20, 17)
    assert local_date(late, SHANGHAI) == date(2026, 11, 21)
    assert local_date(late, BERLIN) == date(2026, 11, 20)


def test_a_moment_prints_in_utc_and_reads_back() -> None:
    assert utc_text(ms(2026, 11, 20, 8, 0, 3) + 120) == "2026-11-20T08:00:03.120Z"
    assert parse(utc_text(NOW_MS + 7), 0, SHANGHAI) == NOW_MS + 7
