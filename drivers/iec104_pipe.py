"""The pipe between the IEC 104 client process and its parent: records up, JSON lines down.

A record is kind (1 byte), CLOCK_MONOTONIC in ns (8), length (2), little-endian, then the payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Literal, TypedDict

HEAD = struct.Struct("<BQH")


class Kind(IntEnum):
    """ASDU: bytes as received. STATE: name of the link's state. FAULT: why the process gives up."""

    ASDU = 1
    STATE = 2
    FAULT = 3


Order = Literal["counters", "freeze", "general"]


class Setup(TypedDict):
    """The first line to the process."""

    host: str
    port: int


class Command(TypedDict):
    """Every further line. `freeze` holds the counters without reset, `counters` reads them."""

    command: Order
    ca: int


def pack(kind: Kind, mono_ns: int, payload: bytes) -> bytes:
    return HEAD.pack(kind, mono_ns, len(payload)) + payload


class Records:
    """Cuts the stream into records."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[Kind, int, bytes]]:
        """Whole records as (kind, mono_ns, payload); the rest waits for the next chunk."""
        data, at = self._rest + chunk, 0
        while len(data) - at >= HEAD.size:
            kind, mono_ns, length = HEAD.unpack_from(data, at)
            end = at + HEAD.size + length
            if end > len(data):
                break
            yield Kind(kind), mono_ns, data[at + HEAD.size : end]
            at = end
        self._rest = data[at:]
