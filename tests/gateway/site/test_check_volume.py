"""Bytes per stream: the estimate is what the uplink's own encoders make of full rows, and follows the settings."""

from pathlib import Path

import orjson
import pytest

from gateway.site.check import check_here
from gateway.site.file import parse
from gateway.site.volume import StreamVolume

SITE = '[site]\nid = "plant-7"\n'
BUS = '[[bus]]\nid = "hall"\nprotocol = "modbus-tcp"\nhost = "10.0.0.7"\n'


def streams(meters: int = 3, interval: str = "10s", head: str = "") -> dict[str, StreamVolume]:
    text = SITE + head + BUS + "".join(
        f'[[meter]]\nid = "m-{n}"\nbus = "hall"\naddress = {n}\nprofile = "eastron-sdm630"\ninterval = "{interval}"\n'
        for n in range(1, meters + 1)
    )  # fmt: skip
    return {s.stream: s for s in check_here(parse(text, Path("site.toml"))).streams}


def test_rows_per_day_follow_from_intervals() -> None:
    found = streams(3, "10s")
    assert found["readings"].rows_per_day == 3 * 8640
    assert found["intervals"].rows_per_day == 3 * 96
    assert found["live"].rows_per_day == 3 * 8640


def test_live_is_limited_to_two_a_second() -> None:
    assert streams(1, "100ms")["live"].rows_per_day == 172_800


def test_a_reading_row_has_the_size_of_a_real_one() -> None:
    """24 quantities are about 700 bytes of JSON (docs/formats/mqtt.md has a row)."""
    row = streams(1, "10s", '[store]\ncommit_interval = "1m"\n')["readings"]
    assert 600 < row.bytes_per_row < 900


def test_columns_are_smaller_where_a_commit_holds_many_readings_of_a_meter() -> None:
    often = '[store]\ncommit_interval = "1m"\n'
    objects = streams(3, "1s", often)["readings"]
    columns = streams(3, "1s", often + '[mqtt]\nreadings_format = "columns"\n')["readings"]
    assert columns.bytes_per_row < objects.bytes_per_row / 2


def test_only_streams_that_are_on_are_counted() -> None:
    assert set(streams(1, head='[mqtt]\nstreams = ["events"]\n')) == {"live"}
    assert set(streams(1, head='[mqtt]\nstreams = ["intervals"]\n')) == {"intervals", "live"}


def test_a_site_without_meters_sends_nothing() -> None:
    found = streams(0)
    assert [s.bytes_per_day for s in found.values()] == [0, 0, 0]
    assert [s.bytes_per_row for s in found.values()] == [0, 0, 0]


def test_a_month_is_thirty_days_of_ten_to_the_six() -> None:
    volume = StreamVolume("x", 1000, 2_000_000)
    assert (volume.bytes_per_row, volume.mb_per_day, volume.mb_per_month) == (2000, 2, 60)


@pytest.mark.parametrize("profile", ["abb-b23", "chint-dtsu666", "schneider-iem3155"])
def test_every_quantity_of_a_profile_is_in_the_sample(profile: str) -> None:
    from drivers.profile import parse_profile
    from gateway.site.profiles import profile_texts
    from gateway.site.volume import _sample_reading

    settings = parse(
        SITE + BUS + f'[[meter]]\nid = "m"\nbus = "hall"\naddress = 1\nprofile = "{profile}"\n', Path("site.toml")
    )
    known = parse_profile(profile, profile_texts()[profile])
    row = _sample_reading(settings.meter[0], known)
    expected = {r.quantity for r in known.selected() if not r.is_scale} | set(known.sums)
    assert len(row["values"]) == len(expected)
    assert orjson.loads(orjson.dumps(row)) == row
