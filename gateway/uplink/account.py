"""What others may know of the uplink, read from uplink.db without disturbing it.

`directory` is that of uplink.db: `settings.store.uplink_dir`.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from engine.errors import StoreError
from gateway.uplink.cursor import FILE, Cursor
from gateway.uplink.notice import Notice


def read_state(directory: Path) -> dict[str, Any] | None:
    """State for status and page (docs/formats/mqtt.md), + `running` and `written_ms`; None if never run."""
    found = _query(directory, "SELECT written_ms, body FROM state WHERE id = 1")
    if not found:
        return None
    written_ms, body = found[0]
    state: dict[str, Any] = orjson.loads(body)
    return {**state, "written_ms": written_ms, "running": _alive(state["pid"])}


def read_cursors(directory: Path, epoch: int) -> dict[str, Cursor]:
    """Proven seq per stream of an epoch.

    `collect` begins a new epoch when its ledger is behind one of them, or one is closed.
    """
    found = _query(directory, "SELECT stream, seq, anchor, closed FROM cursors WHERE epoch = ?", epoch)
    return {stream: Cursor(seq, anchor, bool(closed)) for stream, seq, anchor, closed in found}


def read_events(directory: Path, limit: int) -> list[dict[str, Any]]:
    """The uplink's own events, newest first: t_ms and the notice in both languages."""
    found = _query(directory, "SELECT t_ms, kind, data FROM events ORDER BY id DESC LIMIT ?", limit)
    return [{"t_ms": t_ms, **Notice(kind, orjson.loads(data)).json()} for t_ms, kind, data in found]


def read_hours(directory: Path, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
    """Rows sent, proven and taken without subscriber, per hour (UTC ms) and stream, half-open."""
    found = _query(
        directory,
        "SELECT hour_ms, stream, published, acknowledged, broker_accepted FROM hours"
        " WHERE hour_ms >= ? AND hour_ms < ? ORDER BY hour_ms, stream",
        from_ms, to_ms,
    )  # fmt: skip
    names = ("hour_ms", "stream", "published", "acknowledged", "broker_accepted")
    return [dict(zip(names, row, strict=True)) for row in found]


def _query(directory: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Read-only; after a clean stop a reader without write permission needs `immutable`."""
    path = directory / FILE
    if not path.exists():
        return []
    failure: sqlite3.Error | None = None
    for mode in ("mode=ro", "immutable=1"):
        if mode == "immutable=1" and path.with_name(FILE + "-wal").exists():
            continue
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)) as connection:
                (schema,) = connection.execute("PRAGMA user_version").fetchone()
                # The schema's number is written last: 0 is a file just being created.
                return connection.execute(sql, values).fetchall() if schema else []
        except sqlite3.Error as error:
            failure = error
    raise StoreError(f"{path}: {failure}", hint=f"ls -l {path}*") from failure


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it belongs to the user of the uplink
    return True
