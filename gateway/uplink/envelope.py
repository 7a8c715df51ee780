"""Topics and payloads of the MQTT contract (docs/formats/mqtt.md). Pure: rows in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

Row = dict[str, Any]
VERSION = 1
_COMMAS = 1


def base_topic(site: str, gateway: str) -> str:
    return f"wattledger/v1/{site}/{gateway}"


def client_id(site: str, gateway: str) -> str:
    return f"wattledger-{site}-{gateway}"


def timestamp(t_ms: int) -> str:
    """UTC milliseconds → RFC 3339 with ms and Z."""
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def anchor(row: Row) -> str:
    """What makes this row of a stream itself, whatever version wrote its figures."""
    names = ("meter", "t", "start", "seconds", "revision", "kind", "hour", "stream")
    return "|".join(str(row.get(name, "")) for name in names)


@dataclass(frozen=True, slots=True)
class Head:
    """What all batches of a stream share."""

    gateway: str
    epoch: int
    stream: str

    def open(self, first: int, last: int, sent_ms: int) -> bytes:
        """A batch up to the point where its rows begin."""
        fields = {
            "v": VERSION, "gateway": self.gateway, "epoch": self.epoch, "stream": self.stream,
            "from": first, "to": last, "sent_ms": sent_ms,
        }  # fmt: skip
        return orjson.dumps(fields)[:-1] + b","


class Cut(NamedTuple):
    """Rows up to `last` as messages, in the order in which they are sent. None fits: `payloads` is empty."""

    last: int
    payloads: list[bytes]


def cut_objects(rows: Sequence[Row], head: Head, sent_ms: int, bytes_max: int) -> Cut:
    """One message with as many of `rows` as fit into `bytes_max`."""
    first = int(rows[0]["seq"])
    left = bytes_max - len(head.open(first, int(rows[-1]["seq"]), sent_ms)) - len(b'"rows":[]}')
    parts: list[bytes] = []
    for row in rows:
        part = orjson.dumps(row)
        left -= len(part) + _COMMAS
        if left < 0:
            break
        parts.append(part)
    if not parts:
        return Cut(first - 1, [])
    last = first + len(parts) - 1
    return Cut(last, [head.open(first, last, sent_ms) + b'"rows":[' + b",".join(parts) + b"]}"])


def cut_columns(rows: Sequence[Row], head: Head, sent_ms: int, bytes_max: int) -> Cut:
    """Readings as tables, one message per meter; fewer rows are taken until each message fits."""
    count = len(rows)
    while count:
        by_meter: dict[str, list[Row]] = {}
        for row in rows[:count]:
            by_meter.setdefault(row["meter"], []).append(row)
        payloads = [_table(mine, head, sent_ms) for mine in by_meter.values()]
        if all(len(payload) <= bytes_max for payload in payloads):
            return Cut(int(rows[count - 1]["seq"]), payloads)
        count //= 2
    return Cut(int(rows[0]["seq"]) - 1, [])


def _table(rows: Sequence[Row], head: Head, sent_ms: int) -> bytes:
    keys = list(dict.fromkeys(key for row in rows for key in row["values"]))
    table = {
        "columns": ["t", *keys, "quality"],
        "meter": rows[0]["meter"],
        "rows": [
            [row["seq"], row["t"], *(row["values"].get(key) for key in keys), row["quality"]] for row in rows
        ],
    }
    return head.open(int(rows[0]["seq"]), int(rows[-1]["seq"]), sent_ms) + orjson.dumps(table)[1:]


def status(
    *,
    online: bool,
    t_ms: int,
    boot: int | None,
    epoch: int | None,
    versions: Mapping[str, str],
    streams: Mapping[str, int],
    config: str | None,
    proof: str,
) -> bytes:
    """The retained status, and with `online` false the will."""
    return orjson.dumps({
        "v": VERSION, "online": online, "t": timestamp(t_ms), "boot": boot, "epoch": epoch,
        "versions": dict(versions), "streams": dict(streams), "config": config, "proof": proof,
    })  # fmt: skip


def live(payload: Row) -> bytes:
    """One meter's live payload, as the live file has it."""
    return orjson.dumps(payload)
