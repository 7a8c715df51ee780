"""Bench: µs of the engine per batch of 100 readings. Prints; asserts nothing. Run: python -m tests.bench.engine"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from engine import jit
from engine.ledger import DeviceConfig, Engine, Sample

METERS, START = 100, 1_763_625_600_000


def batches(rounds: int) -> list[list[Sample]]:
    """One batch a second: every meter once, four registers and two powers."""
    return [
        [Sample(f"m{m}", START + 1000 * r + m, 0, 10**9 + 20_000 * r, 10**6, 10**8 + 4_000 * r, 5, 72_000_000, 14_400)
         for m in range(METERS)]
        for r in range(rounds)
    ]  # fmt: skip


def median_us(calls: list[Callable[[], object]]) -> float:
    spent = []
    for call in calls:
        begin = time.perf_counter_ns()
        call()
        spent.append(time.perf_counter_ns() - begin)
    return statistics.median(spent) / 1000


def main() -> None:
    configs = [DeviceConfig(f"m{m}", 1000, 250_000_000) for m in range(METERS)]
    rounds = batches(1000)
    begin = time.perf_counter()
    mode = jit.load().mode
    print(f"kernels {mode}: ready after {time.perf_counter() - begin:.2f} s")
    engine, packed, oracle = (Engine(configs, 900_000, kernels=jit.load(m)) for m in (mode, mode, "python"))

    def line(what: str, calls: list[Callable[[], object]]) -> None:
        print(f"{what:<44}{median_us(calls):10.1f} µs")

    line(f"ingest of {METERS} readings", [partial(engine.ingest, batch) for batch in rounds])
    line("  of it list to records", [partial(packed._pack, batch) for batch in rounds])
    line("running figures of one meter", [partial(engine.running, "m7", START)] * 1000)
    data = engine.snapshot()
    line(f"snapshot of {METERS} meters, {len(data)} B", [engine.snapshot] * 20)
    line("restore", [partial(Engine.restore, data, configs, 900_000)] * 20)
    line("the same ingest in pure Python", [partial(oracle.ingest, batch) for batch in rounds[:10]])


if __name__ == "__main__":
    main()
