"""How the plant is, from facts: the status document and the parts of its sentence. Pure.

The page puts each part into words of its language (`sentence.{key}` in static/i18n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.live import STALE_MS
from gateway.store.rows import Row
from gateway.timespan import parse_utc
from gateway.web.storage import Storage
from gateway.web.upload import State as UploadState
from gateway.web.upload import Upload

Level = Literal["ok", "warning", "error"]
Collect = Literal["running", "stopped", "never"]

SILENT_INTERVALS = 3
SILENT_MIN_MS = 5000
NAMED_MAX = 3  # silent meters that the sentence names
DISK_LOW_SHARE = 0.05
LEVELS: tuple[Level, ...] = ("ok", "warning", "error")
UPLOAD_LEVELS: dict[UploadState, Level] = {
    "none": "ok", "up_to_date": "ok", "catching_up": "ok", "connecting": "ok", "offline": "warning",
    "refused": "error", "nobody": "warning", "stopped": "warning", "never": "warning",
}  # fmt: skip
PART_KEYS = (
    "no_meters", "not_started", "metering_stopped", "all_answer", "silent", "waiting",
    "ledger_unreadable", "disk_low", *(f"upload_{state}" for state in UPLOAD_LEVELS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One clause of the status sentence."""

    key: str
    level: Level
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MeterStates:
    """Meter ids by what they do: answering, silent after they once answered, or not heard of yet."""

    answering: tuple[str, ...]
    silent: tuple[str, ...]
    waiting: tuple[str, ...]


def collect_state(live: Row | None, age_ms: int | None) -> Collect:
    if live is None:
        return "never"
    return "stopped" if age_ms is None or age_ms >= STALE_MS else "running"


def meter_states(intervals_ms: Mapping[str, int], live: Row | None) -> MeterStates:
    """Which meters answer, by the live file's own clock, so a stopped `collect` makes none of them silent."""
    answering, silent, waiting = [], [], []
    now_ms = parse_utc(live["t"]) if live else 0
    payloads = live["meters"] if live else {}
    for meter, interval_ms in intervals_ms.items():
        payload = payloads.get(meter)
        if payload is None:
            waiting.append(meter)
        elif now_ms - parse_utc(payload["t"]) >= max(SILENT_INTERVALS * interval_ms, SILENT_MIN_MS):
            silent.append(meter)
        else:
            answering.append(meter)
    return MeterStates(tuple(answering), tuple(silent), tuple(waiting))


def sentence(collect: Collect, meters: MeterStates, upload: Upload, storage: Storage) -> list[Part]:
    """The clauses, in the order in which they are read."""
    return [
        *_metering(collect, meters),
        *([] if collect == "never" else [_uploading(upload)]),
        *_storage(storage),
    ]


def level(parts: Sequence[Part]) -> Level:
    """The worst level of the parts."""
    return max((part.level for part in parts), key=LEVELS.index)


def _metering(collect: Collect, meters: MeterStates) -> list[Part]:
    total = len(meters.answering) + len(meters.silent) + len(meters.waiting)
    if not total:
        return [Part("no_meters", "warning", {})]
    if collect == "never":
        return [Part("not_started", "error", {})]
    if collect == "stopped":
        return [Part("metering_stopped", "error", {})]
    parts = []
    if meters.silent:
        counts = {"count": len(meters.silent), "total": total}
        parts.append(Part("silent", "warning", {**counts, "meters": list(meters.silent[:NAMED_MAX])}))
    if meters.waiting:
        counts = {"count": len(meters.waiting), "total": total}
        parts.append(Part("waiting", "warning", {**counts, "meters": list(meters.waiting[:NAMED_MAX])}))
    return parts or [Part("all_answer", "ok", {"count": total})]


def _uploading(upload: Upload) -> Part:
    return Part(f"upload_{upload.state}", UPLOAD_LEVELS[upload.state], {"count": upload.waiting})


def _storage(storage: Storage) -> list[Part]:
    if storage.state == "unreadable":
        return [Part("ledger_unreadable", "error", {"error": storage.error})]
    if storage.total_bytes and storage.free_bytes < DISK_LOW_SHARE * storage.total_bytes:
        return [Part("disk_low", "warning", {"bytes": storage.free_bytes})]
    return []
