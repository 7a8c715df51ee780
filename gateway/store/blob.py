"""The readings of one commit as bytes and back, without loss. Byte format: docs/formats/db.md.

Per layout and column the values stand together, sorted by meter and time, as differences in byte planes:
62 B per reading of 24 quantities against 80 for packed rows (`tests/bench/store.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from engine.errors import Corrupt
from engine.reading import Reading

VERSION = 1
LEVEL = 6
_HAS_GAPS = 0x80
_BODY_MAX = 256 << 20  # a commit is far below; a damaged length must not eat the memory


def encode_readings(
    readings: Sequence[Reading], meters: Mapping[str, int], layouts: Mapping[str, int]
) -> bytes:
    """Readings in `seq` order → blob. `meters` and `layouts` give the numbers of ids and digests."""
    numbers = [meters[r.meter] for r in readings]
    kinds = [layouts[r.layout] for r in readings]
    out = bytearray(len(readings).to_bytes(4, "little"))
    for values in (
        numbers,
        kinds,
        [r.t_ms for r in readings],
        [r.boot_id for r in readings],
        [r.t_ms - r.mono_ms for r in readings],
        [r.flags for r in readings],
    ):
        _put(out, values)
    for group in _groups(numbers, kinds).values():
        rows = [readings[i].columns for i in group]
        out += len(rows[0]).to_bytes(2, "little")
        for column in zip(*rows, strict=True):
            _put(out, column)
    return bytes([VERSION]) + zlib.compress(out, LEVEL)


def decode_readings(blob: bytes, meters: Mapping[int, str], layouts: Mapping[int, str]) -> list[Reading]:
    """Blob → readings in `seq` order. Raises Corrupt."""
    if not blob or blob[0] != VERSION:
        raise Corrupt(
            f"a block of readings has version {blob[0] if blob else 'none'}, this program reads {VERSION}",
            hint="if a newer wattledger wrote it, run that one; else restore the last backup",
        )
    try:
        return _decode(blob, meters, layouts)
    except (zlib.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise Corrupt(
            f"a block of readings is damaged: {error}", hint="restore the last backup; keep this file"
        ) from error


def _decode(blob: bytes, meters: Mapping[int, str], layouts: Mapping[int, str]) -> list[Reading]:
    inflate = zlib.decompressobj()
    cursor = _Cursor(inflate.decompress(blob[1:], _BODY_MAX))
    if not inflate.eof or inflate.unused_data:
        raise ValueError("the compressed data does not end where the block ends")
    count = cursor.number(4)
    if count * 2 > _BODY_MAX:
        raise ValueError(f"{count} readings announced")
    numbers, kinds, times, boots, offsets, flags = (cursor.column_known(count) for _ in range(6))
    columns: list[tuple[int | None, ...]] = [()] * count
    for group in _groups(numbers, kinds).values():
        width = cursor.number(2)
        table = [cursor.column(len(group)) for _ in range(width)]
        for i, row in zip(group, zip(*table, strict=True) if table else [()] * len(group), strict=True):
            columns[i] = row
    if cursor.left():
        raise ValueError(f"{cursor.left()} bytes too many")
    return [
        Reading(meters[m], t, boot, t - offset, layouts[k], row, flag)
        for m, k, t, boot, offset, row, flag in zip(
            numbers, kinds, times, boots, offsets, columns, flags, strict=True
        )
    ]


def _groups(numbers: Sequence[int], kinds: Sequence[int]) -> dict[int, list[int]]:
    """Positions of each layout's readings, sorted by meter, then by place; layouts by first appearance."""
    groups: dict[int, list[int]] = {}
    for i, kind in enumerate(kinds):
        groups.setdefault(kind, []).append(i)
    for group in groups.values():
        group.sort(key=numbers.__getitem__)
    return groups


def _put(out: bytearray, values: Sequence[int | None]) -> None:
    present = [v for v in values if v is not None]
    steps = [b - a for a, b in pairwise((0, *present))]
    zigzag = [2 * d if d >= 0 else -2 * d - 1 for d in steps]
    width = (max(zigzag, default=0).bit_length() + 7) // 8
    gaps = len(present) < len(values)
    out.append(width | (_HAS_GAPS if gaps else 0))
    if gaps:
        bits = sum(1 << i for i, v in enumerate(values) if v is not None)
        out += bits.to_bytes((len(values) + 7) // 8, "little")
    if width:
        packed = b"".join(z.to_bytes(width, "little") for z in zigzag)
        for plane in range(width):
            out += packed[plane::width]


class _Cursor:
    """Reads the body from its start; every length is checked."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def left(self) -> int:
        return len(self._body) - self._at

    def _take(self, size: int) -> bytes:
        if size > self.left():
            raise ValueError("it ends too early")
        self._at += size
        return self._body[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def column_known(self, count: int) -> list[int]:
        """A column that may have no gaps."""
        values = self.column(count)
        if None in values:
            raise ValueError("a gap where none may be")
        return [v for v in values if v is not None]

    def column(self, count: int) -> list[int | None]:
        mode = self.number(1)
        if not mode & _HAS_GAPS:
            return list(self._values(count, mode))
        bits = self.number((count + 7) // 8)
        known = [bool(bits >> i & 1) for i in range(count)]
        values = iter(self._values(sum(known), mode & ~_HAS_GAPS))
        return [next(values) if k else None for k in known]

    def _values(self, count: int, width: int) -> list[int]:
        if not width:
            return [0] * count
        planes = self._take(count * width)
        packed = bytearray(count * width)
        for plane in range(width):
            packed[plane::width] = planes[plane * count : (plane + 1) * count]
        zigzag = (int.from_bytes(packed[i : i + width], "little") for i in range(0, count * width, width))
        return list(accumulate(-(z + 1 >> 1) if z & 1 else z >> 1 for z in zigzag))
