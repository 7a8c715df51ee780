"""Reader of the live file: the last reading and the running figures of every meter (docs/formats/mqtt.md)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

FILE = "live"
STALE_MS = 5000


class LiveReader:
    """Looks at `{runtime}/live`; parses it only when it was replaced. Never raises: the file is droppable.

    `now_ms` gives the wall time in UTC ms, the same clock that stamps files.
    """

    def __init__(self, runtime: Path, now_ms: Callable[[], int]) -> None:
        self.path = runtime / FILE
        self._now_ms = now_ms
        self._seen: tuple[int, int, int] | None = None
        self._body: dict[str, Any] | None = None
        self._modified_ms = 0

    def read(self) -> dict[str, Any] | None:
        """The whole file as one object, the same object until it changes; None without a proper one."""
        try:
            found = os.stat(self.path)
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                body = orjson.loads(self.path.read_bytes())
                self._body = body if isinstance(body, dict) and "meters" in body else None
                self._seen = seen
                self._modified_ms = found.st_mtime_ns // 1_000_000
        except (OSError, orjson.JSONDecodeError):
            self._seen = self._body = None
        return self._body

    def age_ms(self) -> int | None:
        """Milliseconds since the file was last replaced, as of the latest `read`; None without a file."""
        return None if self._body is None else max(0, self._now_ms() - self._modified_ms)

    def running(self) -> bool:
        """Whether `collect` is alive: the file is younger than five seconds."""
        self.read()
        age_ms = self.age_ms()
        return age_ms is not None and age_ms < STALE_MS
