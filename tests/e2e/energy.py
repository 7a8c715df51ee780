"""The oracle of the end-to-end tests: interval rows against the registers that the simulator showed, to the mWh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.ledger import Engine
from gateway.collect.points import metered
from gateway.site.file import load
from gateway.store.reader import LedgerReader

COUNTERS = {
    "active_energy_import": "active_energy_import_wh",
    "active_energy_export": "active_energy_export_wh",
    "reactive_energy_import": "reactive_energy_import_varh",
    "reactive_energy_export": "reactive_energy_export_varh",
}


def mwh(value: float) -> int:
    """Wh of a row to mWh; a row carries at most three decimals."""
    return round(value * 1000)


def compare(config: Path, intervals: Iterable[dict[str, Any]], truth: dict[str, Any], *, at_least: int) -> None:
    """Σ interval rows + the open block of the last snapshot = what the registers showed, per meter and counter."""
    settings = load(config)
    reader = LedgerReader(settings.store.path)
    snapshot = reader.snapshot()
    assert snapshot is not None
    assert snapshot.through_seq == reader.last_seq("readings"), "a clean stop leaves nothing to replay"
    devices = [m.device for m in metered(settings).values()]
    engine = Engine.restore(snapshot.data, devices, settings.site.energy_interval)
    rows = defaultdict(list)
    for row in intervals:
        rows[row["meter"]].append(row)
    checked = 0
    for meter, shown in truth.items():
        assert len(rows[meter]) >= at_least, meter
        assert len({row["start"] for row in rows[meter]}) == len(rows[meter]), "no interval twice"
        block = engine.open_block(meter)
        assert block is not None
        still_open = (block.import_mwh, block.export_mwh, block.reactive_import_mvarh, block.reactive_export_mvarh)
        for (counter, key), rest in zip(COUNTERS.items(), still_open, strict=True):
            if counter in shown["counters"]:
                total = sum(mwh(row[key]) for row in rows[meter]) + (rest or 0)
                assert total == shown["counters"][counter]["delivered_mwh"], (meter, counter)
                checked += 1
    assert checked >= 2 * len(truth)
    assert sum(mwh(row["active_energy_import_wh"]) for part in rows.values() for row in part) > 0
