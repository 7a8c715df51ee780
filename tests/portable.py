"""Does the engine give the same bytes on this machine as on any other? Run: python -m tests.portable

A fixed hostile stream (glitches, spikes, resets, gaps, late and repeated readings, flags) goes through the kernels in
machine code and through the pure Python oracle, with a restore from the own snapshot half-way. Prints a sha256 of all
they gave; exit code 1 if the two differ. Two machines agree if they print equal digests.
"""

from __future__ import annotations

import json
import platform
import sys
import zlib
from collections import defaultdict
from dataclasses import asdict
from hashlib import sha256
from random import Random
from typing import Any, cast

import numba
import numpy as np

from engine.jit import Mode, load
from engine.ledger import DeviceConfig, Engine, Sample

SEED, ROUNDS, READINGS, T0 = 20261121, 4, 600, 1_763_625_600_000  # T0 is a quarter hour, UTC
INTERVAL_AND_PAUSES_MS = (
    (10_000, (1, 400, 1000, 1000, 130_000)), (60_000, (1000, 9999, 30_000)), (900_000, (1000, 200_000, 4_000_000)),
)  # fmt: skip
TENS = (10, 10, 10, 10)
CONFIGS = [
    DeviceConfig("counted", 1000, 250_000_000, moduli_mwh=(10**8,) * 4, resolution_mwh=TENS),
    DeviceConfig("unrated", 10_000, None, resolution_mwh=TENS),
    DeviceConfig("netted", 7000, 250_000_000, mode="net", resolution_mwh=TENS),
    DeviceConfig("powered", 5000, 250_000_000, mode="integrate"),
]


def register(random: Random, last: int) -> int | None:
    """What a register says after `last` [mWh]: mostly a plain step, else what wires and meters make of it."""
    if random.random() < 0.8:
        return last + 10 * random.randrange(5000)
    return random.choice((None, last, last - 30, 0, last + 10**9, max(0, last - 10**7), 10**8 - 20, 2**32 * 10 - 50))


def stream(random: Random, pauses_ms: tuple[int, ...]) -> list[Sample]:
    lasts = {config.meter: [random.choice((0, 10**6, 10**8 - 50_000)) for _ in range(4)] for config in CONFIGS}
    now, samples = T0 + random.randrange(100_000), []
    for _ in range(READINGS):
        now += random.choice(pauses_ms)
        meter, t_ms = random.choice(CONFIGS).meter, now - random.choice((0, 0, 0, 0, 700, 100_000))
        a, b, c, d = (register(random, last) for last in lasts[meter])
        lasts[meter] = [last if new is None else new for new, last in zip((a, b, c, d), lasts[meter], strict=True)]
        power = random.choice((None, 0, 100_000_000, -50_000_000, 240_000_000, 10**13))
        sample = Sample(meter, t_ms, random.choice((0, 0, 0, 1, 1 << 6, 1 << 17)), a, b, c, d, power, power)
        samples += [sample] * random.choice((1, 1, 1, 1, 1, 1, 2))
    return samples


def digests(mode: Mode) -> list[str]:
    """Per kind of result: how many there were, and the sha256 of them all."""
    random, found = Random(SEED), defaultdict[str, list[bytes]](list)
    for interval_ms, pauses_ms in INTERVAL_AND_PAUSES_MS * ROUNDS:
        engine, samples = Engine(CONFIGS, interval_ms, kernels=load(mode)), stream(random, pauses_ms)
        for half in (samples[: READINGS // 2], samples[READINGS // 2 :]):
            closed = engine.ingest(half)
            running = [engine.running(config.meter, T0) for config in CONFIGS]
            given = {"intervals": closed.intervals, "decisions": closed.continuity, "running": running}
            for kind, things in cast(dict[str, list[Any]], given).items():
                found[kind] += [json.dumps(asdict(thing), sort_keys=True, default=int).encode() for thing in things]
            header, _, body = engine.snapshot().partition(b"\n")
            found["snapshots"] += [header + zlib.decompress(body)]  # how zlib packs is its own affair
            engine = Engine.restore(engine.snapshot(), CONFIGS, interval_ms, kernels=load(mode))
    return [f"{kind:<9} {len(every):6} {sha256(b''.join(every)).hexdigest()}" for kind, every in found.items()]


if __name__ == "__main__":
    print(platform.machine(), "Python", platform.python_version(), "numpy", np.__version__, "numba", numba.__version__)
    compiled, oracle = digests("cached"), digests("python")
    print(f"machine code ({load().mode})", *compiled, "pure Python", *oracle, sep="\n")
    sys.exit(compiled != oracle)
