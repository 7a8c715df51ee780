"""Commits that wait for the disk: a failed commit keeps its copies and is retried, never recomputed.

While the disk refuses, readings wait in memory up to a bound; then the oldest go and are booked as lost
to cause `disk`. Intervals and events are few and stay.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace

from gateway.store.commit import Commit
from gateway.store.rows import Counts

KEEP_MS = 600_000
KEEP_BYTES = 8_000_000
READING_BYTES = 160  # a Reading in memory without its columns
COLUMN_BYTES = 36


def weight(commit: Commit) -> int:
    """Bytes that the readings of a commit hold in memory, estimated high."""
    return sum(READING_BYTES + COLUMN_BYTES * len(r.columns) for r in (*commit.readings, *commit.held))


class Backlog:
    """Commits in order, oldest first."""

    def __init__(self, keep_ms: int = KEEP_MS, keep_bytes: int = KEEP_BYTES) -> None:
        self._waiting: deque[tuple[Commit, int]] = deque()
        self._keep_ms, self._keep_bytes = keep_ms, keep_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, commit: Commit) -> None:
        """Queue a commit. Of snapshots that wait only the newest is worth its memory."""
        if commit.snapshot is not None:
            self._waiting = deque((replace(c, snapshot=None) if c.snapshot else c, s) for c, s in self._waiting)
        size = weight(commit)
        self._waiting.append((commit, size))
        self._bytes += size

    def oldest(self) -> Commit:
        return self._waiting[0][0]

    def done(self) -> None:
        """The oldest is on disk."""
        _, size = self._waiting.popleft()
        self._bytes -= size

    def shed(self, now_ms: int) -> Counter[str]:
        """Drop the readings that no longer fit; readings lost per meter."""
        lost: Counter[str] = Counter()
        for n, (commit, size) in enumerate(self._waiting):
            fits = self._bytes <= self._keep_bytes and now_ms - commit.t_ms <= self._keep_ms
            if fits:
                break
            if commit.release_held:
                continue  # these readings are in the log already, only without their seq
            gone = Counter(reading.meter for reading in commit.readings)
            lost += gone
            counts = {**commit.counts, **_booked(commit.counts, gone)}
            self._waiting[n] = (replace(commit, readings=(), counts=counts), 0)
            self._bytes -= size
        return lost


def _booked(counts: Mapping[str, Counts], gone: Counter[str]) -> dict[str, Counts]:
    """The counts of the meters in `gone` with their lost readings moved from valid to cause `disk`."""
    moved = {}
    for meter, readings in gone.items():
        was = counts.get(meter, Counts())
        lost = min(readings, was.valid)
        missed = {**was.missed, "disk": was.missed.get("disk", 0) + lost}
        moved[meter] = replace(was, valid=was.valid - lost, missed=missed)
    return moved
