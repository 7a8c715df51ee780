"""Ctrl-C in a terminal: everything ends at once, nothing is left behind, and the meters can be asked directly."""

from __future__ import annotations

import json

from tests.e2e.site.conftest import Ended
from tests.e2e.site.processes import children, stranger_on

KEY = "active_energy_import_wh"


def test_ctrl_c_ends_the_gateway_within_five_seconds_and_with_zero(ended: Ended) -> None:
    assert ended.code == 0, ended.site.gateway.log.read_text()
    assert ended.took_s <= 5
    assert children(ended.site.gateway.process.pid) == []
    assert "Traceback" not in ended.site.gateway.log.read_text()


def test_the_last_commit_leaves_nothing_to_replay(ended: Ended) -> None:
    ledger = ended.site.ledger
    snapshot = ledger.snapshot()
    assert snapshot is not None
    assert snapshot.through_seq == ledger.last_seq("readings") > 0
    last = ledger.last_commit()
    assert last is not None
    assert snapshot.t_ms == last[0]
    assert ledger.rows("events", ledger.last_seq("events"), ledger.last_seq("events"))[0]["kind"] == "stop"


def test_no_temporary_file_is_left(ended: Ended) -> None:
    assert not (ended.site.store / "run" / "live").exists()
    wal = ended.site.store / "ledger.db-wal"
    assert not wal.exists() or wal.stat().st_size == 0
    assert list((ended.site.store / "inbox").iterdir()) == []
    assert list((ended.site.store / "run" / "answer").iterdir()) == []


def test_the_broker_was_told(ended: Ended) -> None:
    said = [json.loads(m["payload"]) for m in ended.site.subscriber.messages() if m["topic"].endswith("/status")]
    assert [said[0]["online"], said[-1]["online"]] == [True, False]


def test_a_stopped_gateway_is_said_to_be_stopped_and_a_free_bus_is_asked_directly(ended: Ended) -> None:
    site = ended.site
    status = site.call("status")
    assert status.returncode == 9
    assert "collect is not running" in status.stdout
    assert "systemctl status wattledger-collect" in status.stdout
    site.plant.order("*:clear")
    for meter in ("press-1", "drive-2", "oven-1"):
        (said,) = site.json("read", meter)
        assert round(said["values"][KEY] * 1000) in site.plant.shown_mwh(meter)
    assert site.call("regs", "oven-2", "60000").returncode == 5
    assert site.call("read", "mute-1").returncode == 0, "it was cleared too"


def test_a_bus_that_a_stranger_holds_is_not_touched_and_the_stranger_is_named(ended: Ended) -> None:
    site = ended.site
    lock = site.store / "run" / "bus-hall.lock"
    with stranger_on(lock) as pid:
        done = site.call("read", "press-1")
    assert done.returncode == 1
    assert f"process {pid} (" in done.stderr
    assert str(lock) in done.stderr
