"""The accounting counts of one commit as text and back: meters with equal counts share an entry.

JSON, `[[due, attempted, answered, valid, {cause: missed}, [[first, last], …]], …]`, where the last item
lists ranges of meter numbers. Equal commits have equal text, so a month is summed by distinct texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.store.rows import CAUSES, Counts


def encode_counts(counts: Mapping[str, Counts], meters: Mapping[str, int]) -> str:
    """Counts by meter id → text. Raises ValueError at an unknown cause."""
    groups: dict[str, list[int]] = {}
    for meter, c in counts.items():
        unknown = set(c.missed) - set(CAUSES)
        if unknown:
            raise ValueError(f"{meter}: unknown cause {sorted(unknown)}; known are {', '.join(CAUSES)}")
        missed = {cause: c.missed[cause] for cause in CAUSES if c.missed.get(cause)}
        head = json.dumps([c.due, c.attempted, c.answered, c.valid, missed], separators=(",", ":"))
        groups.setdefault(head, []).append(meters[meter])
    entries = (f"{head[:-1]},{_ranges(numbers)}]" for head, numbers in sorted(groups.items()))
    return f"[{','.join(entries)}]"


def add_counts(total: dict[str, Counts], text: str, times: int, meters: Mapping[int, str]) -> None:
    """Add `times` commits with this text to `total`, by meter id."""
    for due, attempted, answered, valid, missed, ranges in json.loads(text):
        part = Counts(
            due * times, attempted * times, answered * times, valid * times,
            {cause: n * times for cause, n in missed.items()},
        )  # fmt: skip
        for first, last in ranges:
            for number in range(first, last + 1):
                meter = meters[number]
                total[meter] = total.get(meter, Counts()) + part


def _ranges(numbers: list[int]) -> str:
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return json.dumps(ranges, separators=(",", ":"))
