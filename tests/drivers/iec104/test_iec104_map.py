"""Pure parts: time tags, the table of points, what an ASDU means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.iec104_asdu import FORMS, cp56, decode
from drivers.iec104_map import PointTable, accepted_tag
from drivers.profile import layout_for, parse_profile
from engine.errors import BadFrame, ConfigError
from gateway.paths import data_dir

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("body", "zone", "utc_ms"),
    [
        ("30 0C 00 08 B4 0B 1A", UTC, at(2026, 11, 20, 8, 0, 3) + 120),
        ("30 0C 00 10 B4 0B 1A", SHANGHAI, at(2026, 11, 20, 8, 0, 3) + 120),  # 16:00 in China
        ("5F EA 3B 17 FF 0C 63", UTC, at(2099, 12, 31, 23, 59, 59) + 999),
        ("00 00 40 08 B4 0B 1A", UTC, at(2026, 11, 20, 8)),  # GEN: the time was substituted, it is one all the same
        ("00 00 1E 82 F9 0A 1A", BERLIN, at(2026, 10, 25, 0, 30)),  # 02:30 summer time (SU), the first of two
        ("00 00 1E 02 F9 0A 1A", BERLIN, at(2026, 10, 25, 1, 30)),  # 02:30 winter time
        ("30 0C 80 08 B4 0B 1A", UTC, None),  # IV
        ("30 0C 00 08 A0 0B 1A", UTC, None),  # day 0
        ("30 0C 00 18 B4 0B 1A", UTC, None),  # hour 24
        ("30 0C 3C 08 B4 0B 1A", UTC, None),  # minute 60
        ("60 EA 00 08 B4 0B 1A", UTC, None),  # 60,000 ms
        ("30 0C 00 08 B4 0D 1A", UTC, None),  # month 13
    ],
)
def test_a_time_tag_is_a_moment_or_nothing(body: str, zone: Any, utc_ms: int | None) -> None:
    assert cp56(bytes.fromhex(body), zone) == utc_ms


def test_a_tag_counts_from_31_days_ago_to_10_seconds_ahead() -> None:
    now, day = at(2026, 11, 20), 86_400_000
    offered = (now - 31 * day - 1, now - 31 * day, now, now + 10_000, now + 10_001)
    assert [accepted_tag(tag, now) for tag in offered] == [None, now - 31 * day, now, now + 10_000, None]


@pytest.mark.parametrize(
    "asdu",
    [
        "",
        "0D 01 03 00 01",
        "0D 00 03 00 01 00",  # no object at all
        "0D 83 03 00 01 00 01 00 00 00 00 C8 42 00",  # three announced, one there
        "0D 02 03 00 01 00 01 00 00 00 00 C8 42 00",
        "0D 01 03 00 01 00 01 00 00 00 00 C8 42",  # the quality is missing
        "25 01 25 00 01 00 64 00 00 39 30 00 00 00 30 0C 00 08 B4 0B",  # the tag is cut
    ],
)
def test_an_asdu_whose_length_is_wrong_is_refused_whole(asdu: str) -> None:
    with pytest.raises(BadFrame):
        decode(bytes.fromhex(asdu))


@given(st.binary(max_size=249), st.sampled_from([9, 11, 13, 15, 21, 34, 35, 36, 37, 70, 100, 101]))
def test_bytes_of_any_kind_are_an_asdu_or_a_bad_frame(body: bytes, type_: int) -> None:
    try:
        asdu = decode(bytes([type_]) + body)
    except BadFrame:
        return
    assert len(asdu.items) in (0, body[0] & 0x7F)
    assert all(0 <= item.ioa < (1 << 24) + 127 and -(1 << 31) <= item.raw < 1 << 32 for item in asdu.items)


@given(
    st.sampled_from([9, 11, 13, 15, 21, 34, 35, 36, 37]), st.integers(1, 127), st.booleans(), st.data()
)
def test_every_cut_of_a_right_asdu_is_refused(type_: int, count: int, sequence: bool, data: Any) -> None:
    size = FORMS[type_].size
    length = 3 + count * size if sequence else count * (3 + size)
    asdu = bytes([type_, count | 0x80 * sequence, 3, 0, 1, 0]) + bytes(length)
    assert len(decode(asdu).items) == count
    with pytest.raises(BadFrame):
        decode(asdu[: data.draw(st.integers(0, len(asdu) - 1))])


def test_an_object_that_comes_twice_with_one_tag_makes_two_answers_in_order(
    meter: Callable[..., Any], profiles: Any
) -> None:
    table = PointTable([meter()], profiles)
    asdu = decode(bytes.fromhex("0B 02 03 00 01 00  03 00 00 01 00 00  03 00 00 02 00 00"))
    answers = table.answers(asdu, 7, at(2026, 11, 20), Counter().update)
    assert [answer.columns[2] for answer in answers] == [1, 2]


def test_two_meters_that_claim_one_object_are_refused_by_name(meter: Callable[..., Any], profiles: Any) -> None:
    with pytest.raises(ConfigError, match="a and b both claim object 100 of common address 1"):
        PointTable([meter("a"), meter("b", ioa_base=99)], profiles)


def test_the_shipped_map_places_every_row_of_its_layout() -> None:
    text = (data_dir("config") / "profiles" / "iec104-typical.toml").read_text()
    profile = parse_profile("iec104-typical", text)
    layout = layout_for(profile)
    by_quantity = {column.quantity: index for index, column in enumerate(layout.columns)}
    rows = profile.selected()
    assert rows[by_quantity["active_power"]].address == 0x4001
    assert rows[by_quantity["active_energy_import"]].address == 0x6401
    assert [column.wire for column in layout.columns] == [row.wire for row in rows]
    assert layout.columns[by_quantity["active_energy_import"]].factor == 100
