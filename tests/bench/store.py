"""Bytes, milliseconds and card writes of the ledger: `python tests/bench/store.py [meters] [readings per commit]`.

A plant of meters with 24 quantities, half of them float, half of them integer registers, at 10 s.
"""

from __future__ import annotations

import math
import random
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.interval import IntervalRow
from engine.reading import Column, Layout, Reading, Wire
from gateway.store.blob import decode_readings, encode_readings
from gateway.store.commit import Commit
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader
from gateway.store.rows import Attribution, Counts

T0 = 1_763_712_000_000
COMMITS = 360  # an hour
_PHASED = ("active_power", "reactive_power", "apparent_power", "power_factor")
NAMES = (
    *(f"{q}{p}" for q in _PHASED for p in ("", "_l1")), "frequency",
    *(f"voltage_{p}_n" for p in ("l1", "l2", "l3")), "voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1",
    *(f"current_{p}" for p in ("l1", "l2", "l3", "n")), "current_avg", "active_energy_import",
    "active_energy_export", "reactive_energy_import", "reactive_energy_export", "thd_voltage_l1",
)  # fmt: skip


def layout(wire: Wire) -> Layout:
    return Layout(tuple(Column(name, wire, "1" if wire == "float32" else "0.01") for name in NAMES))


class Meter:
    """A load that wanders, with noisy voltages and counters that add up."""

    def __init__(self, name: str, wire: Wire, chance: random.Random) -> None:
        self.name, self.layout, self._wire, self._chance = name, layout(wire), wire, chance
        self._power, self._factor = chance.uniform(2e3, 2e5), chance.uniform(0.75, 0.99)
        self._energy = [chance.uniform(1e5, 1e7), chance.uniform(0, 1e3), chance.uniform(1e4, 1e6), 0.0]

    def read(self, t_ms: int, seconds: float) -> Reading:
        wander = self._chance.gauss
        self._power *= max(0.1, 1 + wander(0, 0.02))
        self._factor = min(1.0, max(0.5, self._factor + wander(0, 0.003)))
        p, s = self._power, self._power / self._factor
        q = s * math.sin(math.acos(self._factor))
        self._energy[0] += p * seconds / 3600
        self._energy[2] += q * seconds / 3600
        u = [230 + wander(0, 1.2) for _ in range(3)]
        i = [s / 3 / volt * (1 + wander(0, 0.01)) for volt in u]
        values = [p, p / 3 + wander(0, 9), q, q / 3 + wander(0, 9), s, s / 3 + wander(0, 9), self._factor,
                  self._factor + wander(0, 0.002), 50 + wander(0, 0.01), *u, *(1.732 * v for v in u), *i, 0.0,
                  sum(i) / 3, *self._energy, 2 + wander(0, 0.05)]  # fmt: skip
        if self._wire == "float32":
            columns = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
        else:
            columns = tuple(round(value * 100) for value in values)
        return Reading(self.name, t_ms + self._chance.randint(2, 180), 1, t_ms - T0 + 5000, self.layout.digest, columns)


def commits(count: int, meters: list[Meter], each: int) -> Iterator[Commit]:
    """`each` readings per meter and commit of 10 s; intervals of 15 minutes."""
    names = [meter.name for meter in meters]
    places = dict.fromkeys(names, Attribution("load"))
    layouts = list({meter.layout.digest: meter.layout for meter in meters}.values())
    for n in range(count):
        start = T0 + 10_000 * n
        step = 10_000 // each
        readings = [m.read(start + k * step, step / 1000) for k in range(each) for m in meters]
        intervals = []
        if n % 90 == 89:
            intervals = [
                IntervalRow(name, start - start % 900_000, 900, 12_345_678, 0, 345_678, 0, 49_382_712, 90, 90, 0)
                for name in names
            ]
        counts = dict.fromkeys(names, Counts(each, each, each, each))
        yield Commit(start + 10_000, 1, readings, counts, intervals, layouts=layouts, attributions=places)


def main() -> None:
    meters_n, each = (int(arg) for arg in (sys.argv[1:] or ["64", "1"]))
    chance = random.Random(1)
    meters = [Meter(f"meter-{k}", "float32" if k % 2 else "int32", chance) for k in range(meters_n)]
    batch = list(commits(COMMITS, meters, each))
    readings = batch[-1].readings
    numbers = {meter.name: k for k, meter in enumerate(meters)}
    layouts = {meter.layout.digest: k for k, meter in enumerate(meters[:2])}
    start = time.process_time()
    blobs = [encode_readings(commit.readings, numbers, layouts) for commit in batch]
    encode_ms = (time.process_time() - start) / COMMITS * 1000
    start = time.process_time()
    for blob in blobs[:50]:
        decode_readings(blob, {k: m for m, k in numbers.items()}, {k: d for d, k in layouts.items()})
    decode_ms = (time.process_time() - start) / 50 * 1000
    per_reading = sum(map(len, blobs)) / COMMITS / len(readings)
    print(f"{meters_n} meters × {len(NAMES)} quantities, {len(readings)} readings per commit")
    print(f"blob: {per_reading:.1f} B per reading, {per_reading / len(NAMES):.2f} B per value")
    print(f"encode {encode_ms:.2f} ms, decode {decode_ms:.2f} ms per commit")
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), batch)


def measure(path: Path, batch: list[Commit]) -> None:
    """Wall and CPU time of real commits, what they write, and what reading costs."""
    ledger = Ledger.open(path, site="bench", gateway="gw-1", now_ms=T0)
    wall: list[float] = []
    written = io_bytes()
    cpu = time.process_time()
    for commit in batch:
        before = time.perf_counter()
        ledger.commit(commit)
        wall.append((time.perf_counter() - before) * 1000)
    cpu = (time.process_time() - cpu) / len(batch) * 1000
    written = io_bytes() - written
    ledger.close()
    wall.sort()
    size = (path / "ledger.db").stat().st_size
    total = sum(len(commit.readings) for commit in batch)
    print(f"commit: CPU {cpu:.2f} ms, wall median {wall[len(wall) // 2]:.2f} ms, p99 {wall[-len(wall) // 100]:.2f} ms")
    print(f"file: {size / total:.1f} B per reading with everything; {size * 24 / 1e6:.0f} MB a day")
    print(f"written to disk: {written * 24 / 1e6:.0f} MB a day")
    reader = LedgerReader(path)
    start, cpu = time.perf_counter(), time.process_time()
    rows = reader.rows("readings", 1, 1000)
    print(f"a page of {len(rows)} reading rows: {(time.perf_counter() - start) * 1000:.1f} ms", end=", ")
    print(f"{(time.process_time() - cpu) / len(rows) * 1e6:.1f} µs of CPU per row")
    start = time.perf_counter()
    reader.counts(0, 1 << 60)
    print(f"counts of {len(batch)} commits: {(time.perf_counter() - start) * 1000:.1f} ms")


def io_bytes() -> int:
    """Bytes that this process handed to the disk so far."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


if __name__ == "__main__":
    main()
