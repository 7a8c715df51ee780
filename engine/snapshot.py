"""The engine's state as bytes: a JSON header line, then the records of all devices, zlib-compressed.

Layout 2. Header: version, interval_ms, per meter its id, mode, line and number of open intervals; and the CRC-32 of
the header without it (zlib checks the body). Body, in the order of the meters and as little-endian int64: devices,
counters, quarter-hour borders, open intervals (by time).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import records
from engine.sample import DeviceConfig
from engine.state import State
from engine.steps import EST_LINEAR, LIVE, NEVER

VERSION = 2


def dump(state: State, configs: Sequence[DeviceConfig], length_ms: int) -> bytes:
    """The state; equal histories give equal bytes."""
    devices = state.devices.copy()
    devices["head"] = devices["tail"] = -1  # places in the pool are no part of the history
    devices["basis"] = 0  # set again by every sample
    opened = []
    for d in range(len(configs)):
        for interval in state.open_intervals(d):
            opened.append(interval.copy())
            opened[-1]["next"] = -1
    intervals = np.array(opened, records.OPEN)
    for name in ("t0", "c0", "c1", "step_flags"):
        intervals[name][intervals["t1"] == NEVER] = 0  # leftovers of the record's former use
    header: dict[str, Any] = {
        "version": VERSION,
        "interval_ms": length_ms,
        "meters": [[c.meter, c.mode, c.line, int(d["open_n"])] for c, d in zip(configs, devices, strict=True)],
    }
    body = b"".join(part.tobytes() for part in (devices, state.counters, _deltas(state.quarters), intervals))
    header["crc"] = zlib.crc32(_line(header))
    return _line(header) + b"\n" + zlib.compress(body, 1)


def _line(header: dict[str, Any]) -> bytes:
    return json.dumps(header, separators=(",", ":")).encode()


def load(
    data: bytes, state: State, configs: Sequence[DeviceConfig], length_ms: int, extend: Callable[..., Any]
) -> tuple[str, ...]:
    """Fill an empty state. Returns the meters that stay empty because their mode or line is another one.

    Raises ValueError (the message says what is wrong with `data`).
    """
    header, body = _unpack(data)
    meters = header["meters"]
    opened_all = sum(opened for *_, opened in meters)
    devices, counters, quarters, intervals = _arrays(body, len(meters), opened_all)
    places = {config.meter: d for d, config in enumerate(configs)}
    first, restarted = 0, []
    for i, (meter, mode, line, opened) in enumerate(meters):
        mine = intervals[first : first + opened]
        first += opened
        d = places.get(meter)
        if d is None:
            continue
        if (configs[d].mode, configs[d].line) != (mode, line):
            restarted.append(meter)
            continue
        state.devices[d] = devices[i]
        state.counters[4 * d : 4 * d + 4] = counters[4 * i : 4 * i + 4]
        state.quarters[d] = quarters[i]
        state.adopt(d, mine if header["interval_ms"] == length_ms else mine[:0])
    state.configure(configs)
    if header["interval_ms"] != length_ms:
        for d in range(len(configs)):
            _regrid(state, d, extend)
    return tuple(restarted)


def snapshot_interval_ms(data: bytes) -> int:
    """The energy interval a snapshot was taken under. Raises ValueError as `load` does."""
    return int(_unpack(data)[0]["interval_ms"])


def _unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, packed = data.partition(b"\n")
    try:
        header = json.loads(line)
        body = zlib.decompress(packed)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the engine's snapshot is damaged: {error}") from error
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise ValueError("the engine's snapshot has another layout version: rebuild from readings")
    if header.pop("crc", None) != zlib.crc32(_line(header)):
        raise ValueError("the engine's snapshot is damaged: its header does not fit its checksum")
    return header, body


def _arrays(body: bytes, count: int, opened: int) -> list[records.Records]:
    shapes = ((records.DEVICE, (count,)), (records.COUNTER, (4 * count,)),
              (records.QUARTER, (count, records.QUARTERS)), (records.OPEN, (opened,)))  # fmt: skip
    arrays, offset = [], 0
    if len(body) != sum(dtype.itemsize * int(np.prod(shape)) for dtype, shape in shapes):
        raise ValueError("the engine's snapshot is damaged: its length does not fit its header")
    for dtype, shape in shapes:
        size = dtype.itemsize * int(np.prod(shape))
        arrays.append(np.frombuffer(body[offset : offset + size], dtype).reshape(shape).copy())
        offset += size
    arrays[2] = _sums(arrays[2])
    return arrays


def _deltas(quarters: records.Records) -> records.Records:
    """Borders as differences to the one before, which compress to a third."""
    flat = quarters.view("<i8").reshape(*quarters.shape, -1)
    out = flat.copy()
    out[:, 1:] -= flat[:, :-1]
    return out


def _sums(deltas: records.Records) -> records.Records:
    flat = np.cumsum(deltas.view("<i8").reshape(*deltas.shape, -1), axis=1, dtype="<i8")
    return flat.view(records.QUARTER).reshape(deltas.shape)


def _regrid(state: State, d: int, extend: Callable[..., Any]) -> None:
    """Put a device on another interval grid: its open block becomes one even step per counter."""
    device, book = state.devices[d], state.book
    if device["next_start"] == NEVER:
        return
    edge_t = int(device["next_start"])
    device["next_start"] = edge_t - edge_t % int(book["length"])
    device["quarter_whole"] = 0
    for k in range(records.COUNTERS):
        c = state.counters[4 * d + k]
        t, energy = int(c["t"]), int(c["cum"] - c["edge"])
        if c["state"] != LIVE or t <= max(edge_t, int(c["base_t"])):
            continue
        heard = int(c["heard"])
        c["t"], c["cum"] = max(edge_t, int(c["base_t"])), c["edge"]
        extend(device, c, k, state.pool, book, t, energy, EST_LINEAR)
        c["heard"] = heard  # pending readings stay pending
