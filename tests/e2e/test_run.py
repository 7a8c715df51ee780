"""`wattledger run` beside others: its page's port is taken, there is no broker; metering goes on, SIGTERM ends it."""

from __future__ import annotations

import signal
import socket
import time
import tomllib
from pathlib import Path

from gateway.store.reader import LedgerReader
from tests.e2e.rig import Plant, call, free_port, last_reading, site_file, until, wattledger
from tests.e2e.site.processes import end_with_children


def test_a_taken_port_costs_the_page_and_nothing_else(tmp_path: Path) -> None:
    plant = Plant(tmp_path, "--meters", "1")
    config = site_file(tmp_path, plant.ready["site_toml"], free_port())
    host, port = tomllib.loads(config.read_text())["web"]["listen"].split(":")
    ledger = LedgerReader(tmp_path / "store")
    with socket.create_server((host, int(port))):
        gateway = wattledger("run", tmp_path, "run", "-c", str(config))
        try:
            said = f"cannot listen on {host}:{port}: Address already in use"
            until(lambda: said in gateway.log.read_text(), "the taken port is named")
            assert f"ss -ltnp 'sport = :{port}'" in gateway.log.read_text()
            until(lambda: last_reading(ledger) >= 3, "metering goes on")
            assert call("status", "-c", str(config)).returncode == 0
            before = time.monotonic()
            code = gateway.stop(signal.SIGTERM)
            took_s = time.monotonic() - before
        finally:
            end_with_children(gateway)
            plant.stop(signal.SIGKILL)
    assert code == 0, gateway.log.read_text()
    assert took_s <= 5
    snapshot = ledger.snapshot()
    assert snapshot is not None
    assert snapshot.through_seq == ledger.last_seq("readings")
    assert "Traceback" not in gateway.log.read_text()
