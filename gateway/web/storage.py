"""How big the store is, how much room is left, and how far each stream has come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.errors import StoreError
from gateway.store.db import NAME
from gateway.store.rows import STREAMS
from gateway.web.sources import Ledger

State = Literal["ok", "absent", "unreadable"]


@dataclass(frozen=True, slots=True)
class Storage:
    """Sizes in bytes; `error` and `hint` where the ledger is there and cannot be read."""

    state: State
    ledger_bytes: int
    free_bytes: int
    total_bytes: int
    last_seq: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    hint: str = ""


def look_at_storage(ledger: Ledger, path: Path) -> Storage:
    """`path` is the store directory. A ledger that cannot be read is told, not raised: the page goes on."""
    try:
        disk = os.statvfs(next(p for p in (path, *path.parents) if p.exists()))
        months = sum(file.stat().st_size for file in (path / "raw").glob("*.db"))
        absent = not (path / NAME).exists()
    except OSError as error:
        return Storage("unreadable", 0, 0, 0, {}, f"{path}: {error.strerror}", f"ls -ld {path}")
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    if absent:
        return Storage("absent", months, free, total)
    try:
        sizes = ledger.sizes()
        last: dict[str, int] = {stream: ledger.last_seq(stream) for stream in STREAMS}
    except StoreError as error:
        return Storage("unreadable", months, free, total, {}, str(error), error.hint)
    return Storage("ok", sizes.ledger + sizes.wal + months, free, total, last)
