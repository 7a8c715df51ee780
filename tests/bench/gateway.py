"""The whole gateway: 100 Modbus TCP meters, 24 quantities in 2 requests each, every second, real Mosquitto.

Prints ticks due, kept and late, the spread of intervals, CPU per process and per 1,000 readings, memory (PSS),
and the way from a meter's answer to its live topic. Seconds by $BENCH_SECONDS (60), dead meters by $BENCH_DEAD (0).
For comparison, on the same work and an x86 core: modpoll 4.3 %, Node-RED 6.4 %, thingsboard-gateway 17.6 %,
none of them with a log, an engine or carbon.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from engine.reading import Reading
from gateway.store.reader import LedgerReader
from tests.e2e.rig import Broker, Child, Plant, Subscriber, free_port, site_file, until, wattledger

METERS = 100
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
DEAD = int(os.environ.get("BENCH_DEAD", "0"))
TICK_MS = 1000
_HERTZ = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system time of a process [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _HERTZ


def pss_mb(pid: int) -> float:
    """Proportional set size [MB]."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise ValueError(f"no Pss of {pid}")


def share(values: Sequence[float], part: float) -> float:
    """The quantile `part` of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def all_readings(reader: LedgerReader) -> Iterator[Reading]:
    after = 0
    while page := reader.raw_readings(after, 1000):
        yield from (reading for _, reading in page)
        after = page[-1][0]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plant = Plant(folder, "--meters", str(METERS), "--profile", "eastron-sdm630")
        for number in range(1, DEAD + 1):
            plant.order(f"sim-{number}:silent")
        broker = Broker(folder, free_port())
        subscriber = Subscriber(folder, broker.port)
        config = site_file(folder, plant.ready["site_toml"], broker.port, commit="10s")
        children = {name: wattledger(name, folder, name, "-c", str(config)) for name in ("collect", "uplink", "web")}
        try:
            until(lambda: "live" in subscriber.file.read_text(), "live values", 60)
            time.sleep(5)
            before = {name: cpu_s(child.process.pid) for name, child in children.items()}
            since_ms = time.time_ns() // 1_000_000
            time.sleep(SECONDS)
            until_ms = time.time_ns() // 1_000_000
            used = {name: cpu_s(child.process.pid) - before[name] for name, child in children.items()}
            memory = {name: pss_mb(child.process.pid) for name, child in children.items()}
            time.sleep(11)
            report(LedgerReader(folder / "store"), subscriber, since_ms, until_ms, used, memory)
        finally:
            for child in (*children.values(), plant, subscriber, broker):
                stop(child)


def stop(child: Child) -> None:
    child.stop(signal.SIGTERM)


def report(
    reader: LedgerReader, subscriber: Subscriber, since_ms: int, until_ms: int,
    used: dict[str, float], memory: dict[str, float],
) -> None:  # fmt: skip
    seconds = (until_ms - since_ms) / 1000
    times: dict[str, list[int]] = defaultdict(list)
    for reading in all_readings(reader):
        if since_ms <= reading.t_ms < until_ms:
            times[reading.meter].append(reading.t_ms)
    due = int(seconds) * (METERS - DEAD)
    kept = sum(map(len, times.values()))
    late = [t % TICK_MS for ts in times.values() for t in ts]
    gaps = [b - a for ts in times.values() for a, b in pairwise(ts)]
    print(f"{METERS} meters ({DEAD} dead), {seconds:.0f} s: ticks due {due}, kept {kept}, missed {max(0, due - kept)}")
    print(f"answer after its tick: median {share(late, 0.5)} ms, p99 {share(late, 0.99)} ms, worst {max(late)} ms")
    print(f"interval: p99 {share(gaps, 0.99)} ms, worst {max(gaps)} ms; first and last lateness {drift(times)}")
    both = used["collect"] + used["uplink"]
    for name, cpu in used.items():
        print(f"{name:8} {100 * cpu / seconds:5.2f} % of a core, {1000 * cpu / max(1, kept):.3f} s per 1,000 readings,"
              f" {memory[name]:6.1f} MB PSS")  # fmt: skip
    print(f"collect + uplink {100 * both / seconds:.2f} % of a core; all processes {sum(memory.values()):.1f} MB PSS")
    ways = live_ways(subscriber, since_ms, until_ms)
    middle, slow = share(ways, 0.5), share(ways, 0.99)
    print(f"answer to live topic: median {middle:.0f} ms, p99 {slow:.0f} ms, {len(ways)} messages")
    rows = sum(1 for row in subscriber.rows("readings").values() if since_ms <= stamp(row["t"]) < until_ms)
    print(f"reading rows received upstream: {rows} of {kept} committed")


def drift(times: dict[str, list[int]]) -> str:
    first = share([ts[0] % TICK_MS for ts in times.values()], 0.5)
    last = share([ts[-1] % TICK_MS for ts in times.values()], 0.5)
    return f"{first} ms and {last} ms (median over meters)"


def stamp(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def live_ways(subscriber: Subscriber, since_ms: int, until_ms: int) -> list[float]:
    """From the arrival of the answer to the subscriber's receipt [ms]."""
    ways = []
    for message in subscriber.messages():
        if "/live/" in message["topic"]:
            received = stamp(message["tst"].replace("Z+0000", "+00:00"))
            if since_ms <= received < until_ms:
                ways.append(received - stamp(json.loads(message["payload"])["t"]))
    return ways


if __name__ == "__main__":
    main()
