"""CPU µs per reading of decoding, per profile: `python tests/bench/decode.py`."""

from __future__ import annotations

import random
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drivers.block import BlockDecoder, Field
from drivers.decode import Converter
from drivers.profile import layout_for, parse_profile
from gateway.site.profiles import profile_texts

_SPAN = {"1": (0, 1), "Hz": (49.9, 50.1), "V": (228, 232), "A": (0, 60)}


def cpu_us(work: Callable[[], object], seconds: float = 0.3) -> float:
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for _ in range(100):
            work()
        count += 100
    return (time.process_time() - start) / count * 1e6


def main() -> None:
    rng = random.Random(1)
    print(f"{'profile':22}{'columns':>8}{'unpack':>9}{'engine':>9}{'values':>9}   µs per reading")
    total = 0.0
    texts = profile_texts()
    for name, text in texts.items():
        profile = parse_profile(name, text)
        if profile.iec104:
            continue
        rows, layout = profile.selected(), layout_for(profile)
        fields, payload, at = [], b"", 0
        for row in rows:
            fields.append(Field(at, row.wire))
            at += row.width
            value = rng.uniform(1, 20000) if not row.is_scale else 1
            form = {"float32": ">f", "float64": ">d"}.get(row.wire)
            payload += struct.pack(form, value) if form else int(value).to_bytes(2 * row.width, "big")
        block, converter = BlockDecoder(at, fields), Converter(layout)
        columns = block.columns(payload)
        costs = [
            cpu_us(lambda: block.columns(payload)),  # noqa: B023
            cpu_us(lambda: converter.engine_values(columns)),  # noqa: B023
            cpu_us(lambda: converter.values(columns)),  # noqa: B023
        ]
        total += sum(costs)
        print(f"{name:22}{len(rows):8}" + "".join(f"{cost:9.2f}" for cost in costs))
    mean = total / len([n for n in texts if "iec104" not in n])
    print(f"mean {mean:.1f} µs; 100 meters each second: {mean / 10:.2f} ms/s")


if __name__ == "__main__":
    main()
