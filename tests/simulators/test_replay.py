"""Recorded loads, read from CSV text typed here."""

import gzip
from pathlib import Path

import pytest

from engine.errors import ConfigError
from simulators.replay import Replay, load_recording, parse_recording
from simulators.true_energy import MWMS_PER_MWH, TrueEnergy

HOUSEHOLD = """\
Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;Sub_metering_1
31/1/2007;23:59:00;0.326;0.128;243.150;1.400;0.000
1/2/2007;00:00:00;4.216;0.418;234.840;18.400;0.000
1/2/2007;00:01:00;?;?;?;?;
1/2/2007;00:02:00;1.2;-0.05;240.1;5.0;0.000
"""
SIMPLE = "seconds,kw,kvar\n0,1.5,0.25\n10, 3, 0\n12.5,-2,0\n"
NOW_MS = 1_795_000_000_000


def test_the_household_form_is_read_to_the_milliwatt() -> None:
    recording = parse_recording(HOUSEHOLD.splitlines(), "house.csv")
    assert recording.starts_ms == (0, 60_000, 120_000, 180_000)
    assert recording.powers == ((326_000, 128_000), (4_216_000, 418_000), (0, 0), (1_200_000, -50_000))
    assert (recording.length_ms, recording.gaps) == (240_000, 1)
    assert recording.energy_mwms() == 60_000 * (326_000 + 4_216_000 + 1_200_000)


def test_an_excerpt_of_days_in_any_order_is_joined_minute_by_minute() -> None:
    days = ["11/2/2007;23:59:00;1;0;", "2/2/2007;00:00:00;2;0;", "22/2/2007;00:00:00;3;0;"]
    recording = parse_recording(days, "excerpt.csv")
    assert recording.starts_ms == (0, 60_000, 120_000)
    assert recording.energy_mwms() == 60_000 * 6_000_000


def test_the_simple_form_holds_each_row_until_the_next() -> None:
    recording = parse_recording(SIMPLE.splitlines(), "s.csv")
    assert [recording.at(t)[0] for t in (0, 9_999, 10_000, 12_500, 14_999)] == [
        1_500_000, 1_500_000, 3_000_000, -2_000_000, -2_000_000,
    ]  # fmt: skip
    assert recording.length_ms == 15_000


def test_two_columns_have_no_reactive_power() -> None:
    assert parse_recording(["0,2", "1,3"], "two.csv").powers == ((2_000_000, 0), (3_000_000, 0))


@pytest.mark.parametrize("speed", [1, 60])
def test_a_replay_is_shifted_to_now_and_looped(speed: int) -> None:
    recording = parse_recording(HOUSEHOLD.splitlines(), "house.csv")
    load = Replay(recording, NOW_MS, speed)
    minute_ms = 60_000 // speed
    assert [load(NOW_MS + n * minute_ms)[0] for n in range(6)] == [
        326_000, 4_216_000, 0, 1_200_000, 326_000, 4_216_000,
    ]  # fmt: skip


def test_a_meter_on_a_replay_measures_the_recordings_own_energy() -> None:
    recording = parse_recording(HOUSEHOLD.splitlines(), "house.csv")
    energy = TrueEnergy(Replay(recording, NOW_MS), NOW_MS)
    energy.advance(NOW_MS + recording.length_ms)
    assert energy.totals[0] == recording.energy_mwms()
    assert energy.totals[0] // MWMS_PER_MWH == 95_700  # (0.326 + 4.216 + 1.2) kW for a minute = 95.7 Wh


def test_gzip_and_plain_files_read_alike(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text(HOUSEHOLD, encoding="utf-8")
    packed.write_bytes(gzip.compress(HOUSEHOLD.encode()))
    assert load_recording(plain) == load_recording(packed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\nfive,2\n", "line 2"),
        ("0,1\n10,2,3,4\n", "line 2"),
        ("0,nan\n", "line 1"),
        ("0,1e99\n", "line 1"),
        ("10,1\n10,2\n", "line 2: time does not rise"),
        ("1/2/2007;25:00:00;1;1\n", "line 1"),
        ("seconds,kw\n", "no rows"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_recording(text.splitlines(), "bad.csv")
    assert "bad.csv" in str(caught.value)
    assert caught.value.hint


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.csv"):
        load_recording(tmp_path / "nowhere.csv")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(HOUSEHOLD.encode())[:-12])
    with pytest.raises(ConfigError, match=r"cut\.csv\.gz"):
        load_recording(tmp_path / "cut.csv.gz")
