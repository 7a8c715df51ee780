"""Bench: µs of the engine per batch of 100 readings. Prints; asserts nothing. Run: python -m tests.bench.engine"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from engine import jit
from engine.ledger import DeviceConfig, Engine, Sample

METERS, START = 100, 1_763_625_600_000


def batches(rounds: int) -> list[list[Sample]]:
    """One batch a second: every meter once, four registers and two powers."""
    return [
        [Sample(f"m{m}", START + 1000 * r + m, 0, 10**9 + 20_000 * r, 10**6, 10**8 + 4_000 * r, 5, 72_000_000, 14_400_000)
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
    engine = Engine(configs, 900_000)
    print(f"ingest, whole call       {median_us([lambda b=b: engine.ingest(b) for b in rounds]):8.1f} µs / {METERS} readings")
    print(f"  of it list -> records  {median_us([lambda b=b: engine._pack(b) for b in rounds]):8.1f} µs")
    kernel = Engine(configs, 900_000)
    inner = kernel._run

    def run(batch: list[Sample]) -> Callable[[], None]:
        return lambda: inner(len(batch), closed)

    from engine.sample import Closed

    closed, spent = Closed(), []
    for batch in rounds:
        kernel._pack(batch)
        spent.append(median_us([run(batch)]))
    print(f"  of it kernel           {statistics.median(spent):8.1f} µs")
    print(f"running, one meter       {median_us([lambda: engine.running('m7', START) for _ in range(1000)]):8.1f} µs")
    data = engine.snapshot()
    print(f"snapshot {len(data)} B       {median_us([engine.snapshot] * 20):8.1f} µs")
    print(f"restore                  {median_us([lambda: Engine.restore(data, configs, 900_000)] * 20):8.1f} µs")
    oracle = Engine(configs, 900_000, kernels=jit.load("python"))
    print(f"the same in pure Python  {median_us([lambda b=b: oracle.ingest(b) for b in rounds[:10]]):8.1f} µs / {METERS} readings")


if __name__ == "__main__":
    main()
