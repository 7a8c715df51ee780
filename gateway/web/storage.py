"""How big the store is, how much room is left, and how far each stream has come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import StoreError
from gateway.store.rows import STREAMS
from gateway.web.sources import Ledger


@dataclass(frozen=True, slots=True)
class Storage:
    """Sizes in bytes; `error` where the ledger cannot be read, with its `hint`."""

    ledger_bytes: int = 0
    free_bytes: int = 0
    total_bytes: int = 0
    last_seq: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    hint: str = ""


def look_at_storage(ledger: Ledger, path: Path) -> Storage:
    """`path` is the store directory. A ledger that cannot be read is told, not raised: the page goes on."""
    try:
        disk = os.statvfs(path)
    except OSError as error:
        return Storage(error=f"{path}: {error.strerror}", hint=f"ls -ld {path}")
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    months = sum(file.stat().st_size for file in (path / "raw").glob("*.db"))
    try:
        sizes = ledger.sizes()
        last: dict[str, int] = {stream: ledger.last_seq(stream) for stream in STREAMS}
    except StoreError as error:
        return Storage(months, free, total, {}, str(error), error.hint)
    return Storage(sizes.ledger + sizes.wal + months, free, total, last)
