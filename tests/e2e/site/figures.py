"""Energy of a stopped site: interval rows and the open block of its last snapshot."""

from __future__ import annotations

from engine.ledger import Engine
from gateway.collect.points import metered
from gateway.site.file import load
from tests.e2e.energy import COUNTERS, mwh
from tests.e2e.site.conftest import Site


def delivered_mwh(site: Site, meter: str, counter: str) -> int:
    """Σ interval rows + what is still open [mWh]."""
    settings = load(site.config)
    snapshot = site.ledger.snapshot()
    assert snapshot is not None
    devices = [m.device for m in metered(settings).values()]
    block = Engine.restore(snapshot.data, devices, settings.site.energy_interval).open_block(meter)
    assert block is not None
    still_open = dict(zip(COUNTERS, (block.import_mwh, block.export_mwh, block.reactive_import_mvarh,
                                     block.reactive_export_mvarh), strict=True))  # fmt: skip
    rows = site.ledger.intervals(meter, 0, 1 << 60)
    return sum(mwh(row[COUNTERS[counter]]) for row in rows) + (still_open[counter] or 0)
