"""Wrong answers of every kind, on TCP and RTU framing: never a value, counted, and shown."""

from __future__ import annotations

import pytest

from tests.e2e.site.conftest import Ended, Trials
from tests.e2e.site.plant import FAULTS, HONEST, RTU_FAULTS, SPOILED, imported_mwh

NAMED = [(f"tcp-{f.partition('=')[0]}", name) for f, name in FAULTS.items()] + [
    (f"rtu-{f.partition('=')[0]}", name) for f, name in RTU_FAULTS.items()
]
RIGHT = {"tcp-split", "rtu-split"}
SILENT = {"tcp-late", "rtu-late"}
EMPTY = {"tcp-nan", "rtu-nan"}
KEY = "active_energy_import_wh"


@pytest.mark.parametrize("meter", [*SPOILED, *HONEST])
def test_every_value_in_the_ledger_was_shown_in_this_order(ended: Ended, meter: str) -> None:
    log = [(t_ms, imported_mwh(registers)) for t_ms, registers, in_order in ended.truth[meter]["log"] if in_order]
    rows = ended.site.ledger.readings(meter, log[0][0], 1 << 60)
    values = [round(row["values"][KEY] * 1000) for row in rows if KEY in row["values"]]
    assert len(values) >= 10
    shown = iter(mwh for _, mwh in log)
    assert all(value in shown for value in values), "each was shown after the one before"


@pytest.mark.parametrize(("meter", "fault"), NAMED)
def test_a_wrong_answer_is_counted_and_told(ended: Ended, trials: Trials, meter: str, fault: str) -> None:
    counts = ended.site.ledger.counts(0, 1 << 60)[meter]
    told = [e["kind"] for e in ended.site.ledger.events() if e.get("meter") == meter]
    trouble = next(m["trouble"] for m in trials.status["meters"] if m["meter"] == meter)
    if meter in RIGHT:
        assert trouble is None
        assert told in ([], ["meter_silent"]), "silent at the end, like all"
        return
    assert told[:2] == ["meter_silent" if meter in SILENT else "bad_answer", "meter_back"]
    assert trouble["reason"]
    assert trouble["hint"]
    assert counts.attempted - counts.valid >= 2
    assert (counts.answered > counts.valid) == (meter in EMPTY), "an answer without values is an answer"
    if fault:
        discarded = trials.status["buses"][meter]["discarded"]
        assert discarded.get(fault, 0) >= 2, discarded
        assert fault in trouble["reason"]


def test_an_rtu_frame_disturbed_anywhere_is_thrown_away(trials: Trials) -> None:
    for meter in ("rtu-noise", "rtu-merged"):
        assert sum(trials.status["buses"][meter]["discarded"].values()) >= 2


def test_status_tells_people_what_was_thrown_away(trials: Trials) -> None:
    assert "bus tcp-unit: wrong answers, none became a value: unit " in trials.told
