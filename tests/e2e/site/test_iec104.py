"""IEC 104 from the station to the ledger: counts, quality bits, a cut link, a killed client."""

from __future__ import annotations

from tests.e2e.site.conftest import Ended, Trials
from tests.e2e.site.figures import delivered_mwh
from tests.e2e.site.plant import FEEDER

COUNTERS = {25601: "active_energy_import", 25603: "reactive_energy_import"}
LSB_MWH = 100_000  # of config/profiles/iec104-typical.toml: 0.1 kWh a count


def test_interval_rows_equal_the_counts_that_the_station_sent(ended: Ended) -> None:
    shown = ended.site.plant.station.shown
    for object_address, counter in COUNTERS.items():
        counts = shown[1, object_address].delivered
        assert counts > 0
        assert delivered_mwh(ended.site, FEEDER, counter) == counts * LSB_MWH


def test_measured_values_come_by_themselves_and_carry_the_stations_time(ended: Ended) -> None:
    rows = [row for row in ended.site.ledger.readings(FEEDER, 0, 1 << 60) if "active_power_w" in row["values"]]
    assert len(rows) >= 10
    assert all(row["values"]["active_power_w"] > 0 for row in rows)


def test_a_cut_link_is_told_and_comes_back(ended: Ended) -> None:
    downs = [e for e in ended.site.events("bus_down") if e["bus"] == "station"]
    ups = [e for e in ended.site.events("bus_up") if e["bus"] == "station"]
    assert ["was cut" in downs[0]["data"]["reason"], "SIGKILL" in downs[1]["data"]["reason"]] == [True, True]
    assert len(ups) == len(downs) == 2
    assert all("nc -zv" in e["data"]["hint"] for e in downs)


def test_a_killed_client_is_replaced_within_three_seconds_and_costs_no_row(ended: Ended, trials: Trials) -> None:
    assert trials.back_s <= 3
    assert trials.killed not in trials.clients_after
    assert len(trials.clients_after) == 1
    kinds = [e["kind"] for e in ended.site.ledger.events()]
    assert kinds.count("boot") == 1, "collect itself did not start again"
    assert "box_gap" not in kinds


def test_an_invalid_counter_is_kept_with_its_bit_and_is_no_energy(ended: Ended) -> None:
    rows = ended.site.ledger.readings(FEEDER, 0, 1 << 60)
    flagged = [row for row in rows if "invalid_device_fault" in row["quality"]]
    assert any("active_energy_import_wh" in row["values"] for row in flagged)
    assert any(row["quality"] == [] for row in rows)
    counts = ended.site.ledger.counts(0, 1 << 60)[FEEDER]
    assert counts.answered > counts.valid > 0


def test_the_meter_whose_counters_are_invalid_is_in_trouble_and_shown(trials: Trials) -> None:
    assert trials.invalid["reason"] == f"{FEEDER} answers, but its energy registers hold no valid value"
    assert f"wattledger readings --meter {FEEDER}" in trials.invalid["hint"]
