"""From the real ledger to the wire: what arrives is what the ledger's reader gives, row for row."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from conftest import QUICK, Mosquitto, Receiver, settings, until

from engine.event import Event
from engine.interval import IntervalRow
from engine.reading import Column, Layout, Reading
from gateway.store.commit import Boot, Commit
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader
from gateway.store.rows import Attribution, Stream
from gateway.uplink.account import read_cursors
from gateway.uplink.main import run_uplink

T0 = 1_763_712_000_000
LAYOUT = Layout((Column("active_power", "int32", "0.1"), Column("active_energy_import", "uint64", "10")))


def commit(n: int) -> Commit:
    t_ms = T0 + 10_000 * n
    return Commit(
        t_ms=t_ms, boot_id=1, counts={}, layouts=[LAYOUT], attributions={"main-1": Attribution("grid")},
        readings=[Reading("main-1", t_ms + k, 1, t_ms - T0 + k, LAYOUT.digest, (1000 + k, n)) for k in range(20)],
        intervals=[IntervalRow("main-1", T0 + 900_000 * n, 900, 123_456 + n, 0, 40_000, 1000, None, 90, 90, 0)],
        events=[Event(t_ms, "gap", meter="main-1", data={"seconds": n})],
    )  # fmt: skip


async def test_rows_arrive_while_the_ledger_grows_and_after_its_writer_has_ended(
    store: Path, mosquitto: Mosquitto, receiver: Receiver
) -> None:
    (store / "ledger.db").unlink()
    ledger = Ledger.open(store, site="p", gateway="gw-1", now_ms=T0)
    ledger.commit(Commit(T0, 1, boot=Boot(1, T0, "0.1.0")))
    epoch, stop = ledger.epoch, asyncio.Event()
    task = asyncio.create_task(
        run_uplink(settings(store, mosquitto.port), stop=stop, limits=replace(QUICK, recheck_ms=60_000))
    )
    for n in range(10):
        ledger.commit(commit(n))
        await until(lambda n=n: receiver.contiguous("readings") == 20 * (n + 1))
    ledger.close()
    again = Ledger.open(store, site="p", gateway="gw-1", now_ms=T0)
    again.commit(commit(10))
    again.close()
    await until(lambda: read_cursors(store / "uplink", epoch).get("readings", (0,))[0] == 220)
    stop.set()
    await task
    reader = LedgerReader(store)
    expected: tuple[tuple[Stream, int], ...] = (("readings", 220), ("intervals", 11), ("events", 11))
    for stream, last in expected:
        await until(lambda stream=stream, last=last: receiver.contiguous(stream) == last)
        got = [row for batch in receiver.batches(stream) for row in batch["rows"]]
        assert got == json.loads(json.dumps(reader.rows(stream, 1, last)))
        assert {batch["epoch"] for batch in receiver.batches(stream)} == {epoch}
    reader.close()
