"""Commits whose every row follows from their number; run as a program it is a writer that commits until killed."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.event import Event
from engine.interval import IntervalRow, Part
from engine.reading import Column, Layout, Quality, Reading
from gateway.store.commit import Boot, Commit
from gateway.store.log import Ledger
from gateway.store.rows import Attribution, Counts

T0 = 1_763_712_000_000  # 2025-11-21T08:00:00Z
METERS = ("fan", "main-1", "oven", "press-1", "press-2")
LAYOUT = Layout(
    (
        Column("active_power", "int32", "0.1"),
        Column("voltage_l1_n", "float32"),
        Column("active_energy_import", "uint64", "10", missing=(-1,)),
        Column("scale.power", "int16"),
    )
)
SMALL = Layout((Column("active_energy_import", "uint32"),))
PER_COMMIT = {"readings": 5, "intervals": 2, "events": 1}


def readings(n: int) -> list[Reading]:
    """Five readings of commit `n`, the last meter with a small layout and a flag, one column absent."""
    t_ms = T0 + 10_000 * n
    voltage = 0x43660000 + n  # 230 V and a little
    rows = [
        Reading(meter, t_ms + k, 1, 50_000 + 10_000 * n + k, LAYOUT.digest, (12_500 + n, voltage, 100 * n + k, -1))
        for k, meter in enumerate(METERS[:3])
    ]
    rows.append(Reading("press-1", t_ms + 3, 1, 50_003 + 10_000 * n, LAYOUT.digest, (None, voltage, n, 0)))
    flags = int(Quality.PARTIAL)
    rows.append(Reading("press-2", t_ms + 4, 1, 50_004 + 10_000 * n, SMALL.digest, (7 * n,), flags))
    return rows


def intervals(n: int) -> list[IntervalRow]:
    """Two intervals of commit `n`: a good one, and one that lacks what it does not know."""
    start = T0 + 900_000 * n
    parts = {int(Quality.EST_LINEAR): Part(3, 456)}
    return [
        IntervalRow("main-1", start, 900, 123_456 + n, 0, 40_000, 1000, 493_827, 89, 90, 0),
        IntervalRow("oven", start, 900, 1000 * n, None, None, None, None, 5, 90, 256, parts, 1, "late"),
    ]


def commit(n: int) -> Commit:
    """Commit number `n`, counted from 0."""
    return Commit(
        t_ms=T0 + 10_000 * n + 5,
        boot_id=1,
        readings=readings(n),
        counts={m: Counts(1, 1, 1, 1) if n % 3 else Counts(1, 1, 0, 0, {"meter": 1}) for m in METERS},
        intervals=intervals(n),
        events=[Event(T0 + 10_000 * n, "decision", data={"author": "wu", "action": f"mark {n}", "reason": "test"})],
        layouts=[LAYOUT, SMALL],
        attributions={"main-1": Attribution("grid"), "oven": Attribution("load", "main-1")},
        snapshot=b"state %d" % n,
    )


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, site="plant-7", gateway="gw-1", now_ms=T0)


def main(path: Path, rounds: int) -> None:
    """Commit `rounds` times, saying each number once it is safe, then wait for orders: `close` on stdin."""
    ledger = open_ledger(path)
    n = ledger.next_seq("events") - 1
    boot = ledger.next_boot_id
    ledger.commit(Commit(T0, boot, boot=Boot(boot, T0 + n, "0.1.0")))
    print("ready", flush=True)
    for number in range(n, n + rounds):
        ledger.commit(commit(number))
        print(number, flush=True)
    print("done", flush=True)
    if sys.stdin.readline().strip() == "close":
        ledger.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
