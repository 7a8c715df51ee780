"""What must hold for every stream, however hostile: nothing lost, nothing invented, nothing depends on batching."""

from __future__ import annotations

import warnings
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import steps
from engine.interval import IntervalRow
from engine.jit import load
from engine.ledger import Closed, Continuity, DeviceConfig, Engine, Sample

T0 = 1_763_625_600_000  # a quarter hour, UTC
RATED_MW = 250_000_000
SLACK_MWH = 10_000 + 4 * 10  # what physics forgives per step, at a resolution of 10 mWh
CONFIGS = [
    DeviceConfig("counted", 1000, RATED_MW, resolution_mwh=(10, 10, 10, 10)),
    DeviceConfig("unrated", 10_000, None, moduli_mwh=(10**8, 0, 0, 0), resolution_mwh=(10, 10, 10, 10)),
    DeviceConfig("netted", 7000, RATED_MW, mode="net", resolution_mwh=(10, 10, 10, 10)),
    DeviceConfig("powered", 5000, RATED_MW, mode="integrate"),
]
many = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def register(random: Random, last: int) -> int | None:
    """The next reading of a register: mostly a small step, sometimes anything that was ever seen on a wire."""
    if random.random() < 0.7:
        return last + 10 * random.randrange(5000)
    return random.choice([
        None, last, last - 10, last - 30, 0, last + 10**9, max(0, last - 10**7), 10**8 - 20, 2**32 * 10 - 50,
        last + 65536 * 10, last + 60_000,
    ])  # fmt: skip


def stream(seed: int) -> list[Sample]:
    """Samples of four meters, in time order but for some that come late or twice; with flags, gaps and holes."""
    random = Random(seed)
    samples: list[Sample] = []
    lasts = {config.meter: [random.choice([0, 10**6, 10**8 - 50_000])] * 4 for config in CONFIGS}
    now = T0 + random.randrange(-100_000, 100_000)
    pauses = random.choice([[1, 400, 1000], [1000, 5000, 9999, 30_000], [1000, 200_000, 4_000_000]])
    for _ in range(random.randrange(5, 150)):
        now += random.choice(pauses)
        meter = random.choice(CONFIGS).meter
        values = [register(random, last) for last in lasts[meter]]
        if random.random() < 0.9:
            lasts[meter] = [b if a is None else a for a, b in zip(values, lasts[meter], strict=True)]
        flags = random.choice([0, 0, 0, 0, 1 << 17, 1 << 16, 1, 1 << 6])
        power = random.choice([None, 0, 100_000_000, -50_000_000, 240_000_000, 10**13])
        late = random.choice([0, 0, 0, 0, 0, 700, 100_000])
        samples.append(Sample(meter, now - late, flags, *values, power, power and power // 3))
        if random.random() < 0.1:
            samples.append(replace(samples[-1]))
    return samples


streams = st.integers(0, 2**32).map(stream)


def ingest_in_pieces(engine: Engine, samples: list[Sample], sizes: list[int]) -> Closed:
    everything = Closed()
    while samples:
        size = sizes[len(everything.intervals) % len(sizes)]
        closed = engine.ingest(samples[:size])
        everything.intervals.extend(closed.intervals)
        everything.continuity.extend(closed.continuity)
        samples = samples[size:]
    return everything


def decisions(found: list[Continuity]) -> list[Continuity]:
    """Without the count of late readings, which is kept per call."""
    return [c for c in found if c.kind != "late"]


def total(rows: list[IntervalRow], name: str) -> int:
    return sum(getattr(row, name) or 0 for row in rows)


@many
@given(streams, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.sampled_from([300_000, 900_000]))
def test_any_batching_gives_the_same_rows_decisions_and_bytes(
    samples: list[Sample], sizes: list[int], length: int
) -> None:
    whole, pieces = Engine(CONFIGS, length), Engine(CONFIGS, length)
    one = whole.ingest(samples)
    other = ingest_in_pieces(pieces, samples, sizes)
    assert other.intervals == one.intervals
    assert decisions(other.continuity) == decisions(one.continuity)
    assert pieces.snapshot() == whole.snapshot()


@settings(many, max_examples=30)
@given(streams, st.integers(0, 4_000_000))
def test_machine_code_and_pure_python_agree_byte_for_byte(samples: list[Sample], back_ms: int) -> None:
    fast, oracle = Engine(CONFIGS, 900_000), Engine(CONFIGS, 900_000, kernels=load("python"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy says so when an int64 overflows
        slow = [oracle.ingest(samples[:50])]
        oracle.clock_went_back(back_ms)
        slow.append(oracle.ingest(samples[50:]))
    quick = [fast.ingest(samples[:50])]
    fast.clock_went_back(back_ms)
    assert [*quick, fast.ingest(samples[50:])] == slow
    assert fast.snapshot() == oracle.snapshot()
    for config in CONFIGS:
        assert fast.open_block(config.meter) == oracle.open_block(config.meter)
        assert fast.running(config.meter, T0) == oracle.running(config.meter, T0)


@many
@given(streams, st.data())
def test_a_snapshot_anywhere_changes_nothing(samples: list[Sample], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(samples)))
    straight, first = Engine(CONFIGS, 900_000), Engine(CONFIGS, 900_000)
    back_ms = data.draw(st.sampled_from([0, 3000, 3_600_000]))
    head = straight.ingest(samples[:cut])
    straight.clock_went_back(back_ms)
    expected = straight.ingest(samples[cut:])
    before = first.ingest(samples[:cut])
    first.clock_went_back(back_ms)
    after = Engine.restore(first.snapshot(), CONFIGS, 900_000)
    rest = after.ingest(samples[cut:])
    assert before.intervals + rest.intervals == head.intervals + expected.intervals
    decided = decisions(before.continuity) + decisions(rest.continuity)
    assert decided == decisions(head.continuity) + decisions(expected.continuity)
    assert after.snapshot() == straight.snapshot()


@many
@given(streams)
def test_rows_are_in_time_order_without_a_hole_and_exactly_once(samples: list[Sample]) -> None:
    rows = Engine(CONFIGS, 900_000).ingest(samples).intervals
    for config in CONFIGS:
        starts = [row.start_ms for row in rows if row.meter == config.meter]
        assert starts == [starts[0] + 900_000 * i for i in range(len(starts))] if starts else True
        assert all(row.valid <= row.due for row in rows if row.meter == config.meter)


@many
@given(streams)
def test_no_stream_makes_more_energy_than_physics(samples: list[Sample]) -> None:
    engine = Engine(CONFIGS, 900_000)
    rows = engine.ingest(samples).intervals
    for meter in ("counted", "netted", "powered"):
        mine = [s for s in samples if s.meter == meter]
        block = engine.open_block(meter)
        if block is None:
            continue
        elapsed = max(s.t_ms for s in mine) - min(s.t_ms for s in mine) + 60_000 * len(mine)
        bound = RATED_MW * 6 // 5 * elapsed // 3_600_000 + SLACK_MWH * len(mine)
        for name in ("import_mwh", "export_mwh", "reactive_import_mvarh", "reactive_export_mvarh"):
            assert 0 <= total([*(row for row in rows if row.meter == meter), block], name) <= bound


@many
@given(streams)
def test_repeating_every_sample_changes_nothing(samples: list[Sample]) -> None:
    once, twice = Engine(CONFIGS, 900_000), Engine(CONFIGS, 900_000)
    expected = once.ingest(samples)
    doubled = twice.ingest([copy for s in samples for copy in (s, s)])
    assert doubled.intervals == expected.intervals
    assert decisions(doubled.continuity) == decisions(expected.continuity)


def honest_register(seed: int) -> tuple[list[tuple[int, int]], int, int, int]:
    """A true register with glitches, roll-overs and resets that each get their three further readings.

    Returns readings, true energy, and how many roll-overs and resets there are.
    """
    random = Random(seed)
    now, raw, true, rolled, reset = T0 + random.randrange(900_000), 10**8 - 400_000, 0, 0, 0
    readings = [(now, raw)]

    def walk(steps: int) -> None:
        nonlocal now, raw, true, rolled
        for _ in range(steps):
            now += random.randrange(900, 1100)
            energy = 10 * random.randrange(6900)  # up to 248 kW
            raw, true = raw + energy, true + energy
            if raw >= 10**8:
                raw, rolled = raw - 10**8, rolled + 1
            readings.append((now, raw))

    walk(random.randrange(20))
    for _ in range(random.randrange(7)):
        kind = random.choice(["zero", "spike", "reset", "gap", "walk"])
        walk(10)  # a story needs its own time: the one before is settled by now
        if kind in ("zero", "spike") and 10**6 < raw < 9 * 10**7:
            now += 1000
            readings.append((now, 0 if kind == "zero" else raw + 5 * 10**7))
        elif kind == "reset" and 2 * 10**7 < raw < 9 * 10**7:
            now, raw, reset = now + 1000, 0, reset + 1
            readings.append((now, raw))
        elif kind == "gap":
            now += 600_000
            walk(1)
        walk(10)
    readings += [(now + 1000 * i, raw) for i in range(1, 5)]  # a roll-over at the end is settled too
    return readings, true, rolled, reset


@many
@given(st.integers(0, 2**32).map(honest_register), st.sampled_from([10_000, 60_000, 900_000]))
def test_rows_and_open_block_add_up_to_the_true_energy_exactly(
    story: tuple[list[tuple[int, int]], int, int, int], length: int
) -> None:
    readings, true, rolled, reset = story
    config = DeviceConfig("m", 1000, RATED_MW, moduli_mwh=(10**8,) * 4, resolution_mwh=(10,) * 4)
    engine = Engine([config], length)
    closed = engine.ingest([Sample("m", t, import_mwh=raw) for t, raw in readings])
    block = engine.open_block("m")
    assert block is not None
    assert total([*closed.intervals, block], "import_mwh") == true
    kinds = [c.kind for c in closed.continuity]
    assert kinds.count("counter_rollover") == rolled
    assert kinds.count("counter_reset") == reset
    assert "counter_jump" not in kinds


def test_the_share_of_a_step_is_a_floor_even_where_the_product_leaves_int64() -> None:
    cases = [(10, 1, 3), (7, 2, 3), (10**15, 10**11, 3 * 10**11), (4 * 10**16 + 7, 12345, 10**12)]
    assert [steps.share(*case) for case in cases] == [a * b // c for a, b, c in cases]
