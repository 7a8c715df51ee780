"""kill -9 of the writer at random moments, watched from outside."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.store.reader import LedgerReader

ROUNDS = 6
ENDS = (
    "select (select max(reading_last) from commits) as readings, (select max(seq) from intervals) as intervals,"
    " (select max(seq) from events) as events"
)


class Probe(threading.Thread):
    """Polls the ledger and remembers the digest of every row it ever saw; a half commit is a complaint."""

    def __init__(self, path: Path, per_commit: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.seen: dict[tuple[str, int], str] = {}
        self.complaints: list[str] = []
        self._reader = LedgerReader(path)
        self._per_commit = per_commit
        self._stop_now = threading.Event()

    def run(self) -> None:
        while not self._stop_now.wait(0.02):
            self.look()

    def finish(self) -> None:
        self._stop_now.set()
        self.join()

    def look(self) -> int:
        """The number of commits; rows that are new to us are remembered."""
        (ends,) = self._reader.query(ENDS)
        commits = {(ends[stream] or 0) / count for stream, count in self._per_commit.items()}
        if len(commits) != 1:
            self.complaints.append(f"half a commit: {ends}")
        for stream in self._per_commit:
            known = sum(1 for s, _ in self.seen if s == stream)
            self.compare(stream, known + 1, ends[stream] or 0)
        return int(max(commits))

    def compare(self, stream: str, first: int, last: int) -> None:
        while first <= last:
            page = self._reader.rows(stream, first, last)  # type: ignore[arg-type]  # a name of PER_COMMIT
            if [row["seq"] for row in page] != list(range(first, first + len(page))) or not page:
                self.complaints.append(f"{stream}: a hole after {first}")
                return
            for row in page:
                digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
                if self.seen.setdefault((stream, row["seq"]), digest) != digest:
                    self.complaints.append(f"{stream} {row['seq']} changed")
            first += len(page)


def test_kill_9_at_any_moment_loses_nothing_that_was_called_safe(
    sample: ModuleType, tmp_path: Path, writer: Callable[..., Any]
) -> None:
    chance = random.Random(20251121)
    running = writer(tmp_path, 100_000)
    outside = LedgerReader(tmp_path)
    probe = Probe(tmp_path, sample.PER_COMMIT)
    probe.start()
    for _ in range(ROUNDS):
        safe = int(running.line())
        threading.Event().wait(chance.uniform(0.02, 0.4))
        safe = max([safe, *running.kill()])
        found = outside.last_seq("events")
        assert safe + 1 <= found <= safe + 2  # the one in flight may have made it
        running = writer(tmp_path, 100_000)
    running.kill()
    assert probe.is_alive()
    probe.finish()
    commits = probe.look()
    for stream, count in sample.PER_COMMIT.items():
        probe.compare(stream, 1, count * commits)
    assert probe.complaints == []
    assert commits > ROUNDS
    kept = [r for _, r in LedgerReader(tmp_path).raw_readings(5 * (commits - 1))]
    assert kept == sample.readings(commits - 1)
