"""The rows of the contract, literal by literal, and that the ledger gives back the very same."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from drivers.decode import Converter
from engine.carbon import Factor
from engine.event import Event
from engine.interval import IntervalRow, Part
from engine.reading import Quality
from gateway.store.commit import Commit
from gateway.store.counts import add_counts, encode_counts
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader
from gateway.store.rows import (
    CAUSES,
    Attribution,
    Counts,
    FactorRef,
    coverage,
    event_row,
    reading_columns,
    reading_row,
    scaled,
    utc_ms,
)


def factor(value: Fraction, revision: int = 0) -> Factor:
    return Factor(
        "cn.grid.national.2023", value, "CO2", "2-location", "CN", "MEE", "公告 2025 年第 41 号", "China", "全国",
        revision=revision,
    )  # fmt: skip


PLACE = Attribution("grid", "main-0", (FactorRef("ghgp-location", factor(Fraction(530_600), 2)),))


def test_an_interval_row_is_the_contracts(ledger: Ledger, tmp_path: Path) -> None:
    row = IntervalRow(
        "main-1", 1_763_712_000_000, 900, 123_456, 2_000, 40_001, 7, 493_827, 899, 900,
        int(Quality.EST_LINEAR | Quality.LATE_BACKFILLED),
        {int(Quality.LATE_BACKFILLED): Part(2, 7), int(Quality.EST_LINEAR): Part(3, 4_560)}, 1, "late",
    )  # fmt: skip
    ledger.commit(Commit(1, 1, intervals=[row], attributions={"main-1": PLACE}))
    (stored,) = LedgerReader(tmp_path).rows("intervals", 1, 1)
    assert stored == {
        "seq": 1, "revision": 1, "cause": "late", "meter": "main-1", "role": "grid", "parent": "main-0",
        "start": "2025-11-21T08:00:00Z", "seconds": 900,
        "active_energy_import_wh": 123.456, "active_energy_export_wh": 2,
        "reactive_energy_import_varh": 40.001, "reactive_energy_export_varh": 0.007,
        "power_factor": 0.9527, "demand_w": 493.827,
        "co2e": [{"kg": 0.0655057536, "gas": "CO2", "profile": "ghgp-location",
                  "factor": "cn.grid.national.2023", "revision": 2}],
        "quality": ["est_linear", "late_backfilled"],
        "quality_parts": {
            "est_linear": {"readings": 3, "active_energy_import_wh": 4.56},
            "late_backfilled": {"readings": 2, "active_energy_import_wh": 0.007},
        },
        "coverage": 0.998,
    }  # fmt: skip


def test_what_an_interval_does_not_know_is_absent(ledger: Ledger, tmp_path: Path) -> None:
    row = IntervalRow("main-1", 1_763_712_000_000, 10, None, None, None, None, None, 0, 1, 1)
    ledger.commit(Commit(1, 1, intervals=[row], attributions={"main-1": PLACE}))
    (stored,) = LedgerReader(tmp_path).rows("intervals", 1, 1)
    assert stored == {
        "seq": 1, "revision": 0, "meter": "main-1", "role": "grid", "parent": "main-0",
        "start": "2025-11-21T08:00:00Z", "seconds": 10, "co2e": [], "quality": ["missing_comm"], "coverage": 0.0,
    }  # fmt: skip


def test_a_new_factor_does_not_touch_the_rows_before_it(ledger: Ledger, tmp_path: Path) -> None:
    row = IntervalRow("main-1", 1_763_712_000_000, 900, 1_000_000, 0, 0, 0, None, 90, 90, 0)
    reader = LedgerReader(tmp_path)
    ledger.commit(Commit(1, 1, intervals=[row], attributions={"main-1": PLACE}))
    before = reader.rows("intervals", 1, 1)
    dearer = Attribution("grid", "main-0", (FactorRef("ghgp-location", factor(Fraction(600_000), 3)),))
    ledger.commit(Commit(2, 1, intervals=[row], attributions={"main-1": dearer}))
    assert reader.rows("intervals", 1, 1) == before
    assert [r["co2e"][0]["kg"] for r in reader.rows("intervals", 1, 2)] == [0.5306, 0.6]
    assert json.loads(reader.query("select factors from attributions where num = 2")[0]["factors"]) == [
        {"profile": "ghgp-location", "factor": "cn.grid.national.2023", "revision": 3, "gas": "CO2",
         "mg_per_kwh": "600000"}
    ]  # fmt: skip


def test_a_reading_row_is_the_contracts(sample: ModuleType) -> None:
    row = reading_row(7, sample.readings(0)[0], Converter(sample.LAYOUT))
    assert row == {
        "seq": 7, "meter": "fan", "t": "2025-11-21T08:00:00.000Z",
        "values": {"active_power_w": 1250.0, "voltage_l1_n_v": 230.0, "active_energy_import_wh": 0},
        "quality": [],
    }  # fmt: skip
    live = reading_row(None, sample.readings(0)[4], Converter(sample.SMALL))
    assert live == {
        "meter": "press-2", "t": "2025-11-21T08:00:00.004Z", "values": {"active_energy_import_wh": 0},
        "quality": ["partial"],
    }  # fmt: skip


def test_columns_hold_every_value_and_show_flags_only_where_there_are_some() -> None:
    first = {"seq": 4, "meter": "fan", "t": "a", "values": {"x_w": 1, "y_v": 2.5}, "quality": []}
    second = {"seq": 9, "meter": "fan", "t": "b", "values": {"y_v": 3, "z": 0.9}, "quality": ["partial"]}
    assert reading_columns([first]) == {"columns": ["t", "x_w", "y_v"], "meter": "fan", "rows": [[4, "a", 1, 2.5]]}
    assert reading_columns([first, second]) == {
        "columns": ["t", "x_w", "y_v", "z", "quality"],
        "meter": "fan",
        "rows": [[4, "a", 1, 2.5, None, []], [9, "b", None, 3, 0.9, ["partial"]]],
    }


def test_an_event_row_keeps_the_words_it_was_committed_with(ledger: Ledger, tmp_path: Path) -> None:
    event = Event(1_763_712_000_120, "meter_silent", "oven", "hall-a", 1_763_712_060_000, {"reason": "no answer"})
    ledger.commit(Commit(1, 1, events=[event]))
    expected = {
        "seq": 1, "t": "2025-11-21T08:00:00.120Z", "kind": "meter_silent", "severity": "warning", "meter": "oven",
        "bus": "hall-a", "until": "2025-11-21T08:01:00.000Z",
        "text": {"en": "oven does not answer: no answer", "zh": event.text()["zh"]},
        "data": {"reason": "no answer"},
    }  # fmt: skip
    assert LedgerReader(tmp_path).rows("events", 1, 1) == [expected]
    assert event_row(1, event, event.severity, event.text()) == expected
    ledger._conn.execute("update events set text_en = 'as it was said then', severity = 'error'")
    (row,) = LedgerReader(tmp_path).rows("events", 1, 1)
    assert (row["text"]["en"], row["severity"]) == ("as it was said then", "error")


def test_coverage_is_cut_and_never_rounded_up() -> None:
    assert [coverage(v, d) for v, d in ((1999, 2000), (0, 9), (9, 9), (10, 9), (0, 0), (2, 3))] == [
        0.999, 0.0, 1.0, 1.0, 1.0, 0.666,
    ]  # fmt: skip


@given(st.integers(-(10**14), 10**14))
def test_milliwatt_hours_survive_the_json_number(mwh: int) -> None:
    assert round(Fraction(repr(scaled(mwh, 1000))) * 1000) == mwh
    assert isinstance(scaled(mwh, 1000), int) == (mwh % 1000 == 0)


def test_times_before_1970_keep_their_milliseconds() -> None:
    assert utc_ms(-1) == "1969-12-31T23:59:59.999Z"


meter_ids = st.sampled_from(["a", "b", "c", "d", "e"])
counts = st.builds(
    Counts, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5),
    st.dictionaries(st.sampled_from(CAUSES), st.integers(1, 9)),
)  # fmt: skip


@given(st.dictionaries(meter_ids, counts), st.integers(1, 4))
def test_counts_come_back_times_the_number_of_equal_commits(given_counts: dict[str, Counts], times: int) -> None:
    numbers = {"a": 1, "b": 2, "c": 4, "d": 5, "e": 9}
    total: dict[str, Counts] = {}
    text = encode_counts(given_counts, numbers)
    add_counts(total, text, times, {n: m for m, n in numbers.items()})
    assert total == {m: sum([c] * (times - 1), c) for m, c in given_counts.items()}
    assert encode_counts(dict(reversed(given_counts.items())), numbers) == text


def test_meters_with_equal_counts_share_one_entry() -> None:
    text = encode_counts({"a": Counts(1, 1, 1, 1), "b": Counts(1, 1, 1, 1)}, {"a": 3, "b": 4})
    assert text == "[[1,1,1,1,{},[[3,4]]]]"
