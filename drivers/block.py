"""From the register bytes of one block to columns as sent. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from engine.reading import Wire

_CODES: dict[Wire, tuple[str, int]] = {  # floats travel as their bit pattern, 64 bits as two's complement
    "int16": ("h", 1), "uint16": ("H", 1), "int32": ("i", 2), "uint32": ("I", 2), "float32": ("I", 2),
    "int64": ("q", 4), "uint64": ("q", 4), "float64": ("q", 4),
}  # fmt: skip


class Field(NamedTuple):
    """Where a value stands in a block: `offset` in registers; `little` = low word first."""

    offset: int
    wire: Wire
    little: bool = False


class BlockDecoder:
    """`count` registers of one block → columns as sent: one unpack for all fields (given in wire order)."""

    def __init__(self, count: int, fields: Sequence[Field]) -> None:
        order = list(range(2 * count))
        form, at = ">", 0
        for field in fields:
            code, width = _CODES[field.wire]
            form += f"{2 * (field.offset - at)}x{code}"
            at = field.offset + width
            if field.little:
                words = [order[2 * n : 2 * n + 2] for n in range(field.offset, at)]
                order[2 * field.offset : 2 * at] = [byte for word in reversed(words) for byte in word]
        self._struct = struct.Struct(form + f"{2 * (count - at)}x")
        self._order = order if any(field.little for field in fields) else None

    def columns(self, payload: bytes) -> tuple[int, ...]:
        """`payload`: the 2 × count register bytes. Raises struct.error on another length."""
        if self._order is not None:
            payload = bytes([payload[place] for place in self._order])
        return self._struct.unpack(payload)
