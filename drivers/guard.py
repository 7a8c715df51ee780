"""Is this answer the one we asked for? Looks at the raw bytes of all that came since the request. Pure.

Exactly one frame, nothing before it and nothing after it, is accepted; a byte that cannot belong to it
rejects at once. Whatever is not ACCEPTED never becomes a value.

    TCP   transaction(2) protocol(2)=0 length(2) unit(1) function(1) bytes(1)=2n data(2n)
    RTU   unit(1) function(1) bytes(1)=2n data(2n) crc(2, low byte first)
    exception: function + 0x80, then one code
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Request:
    """Read `count` registers (1..125) from `address` of `unit`; function 3 holding, 4 input registers."""

    unit: int
    function: int
    address: int
    count: int


class State(Enum):
    INCOMPLETE = "incomplete"
    ACCEPTED = "accepted"
    EXCEPTION = "exception"
    REJECTED = "rejected"


class Verdict(NamedTuple):
    """`payload`: register bytes of an accepted answer; `code`: of an exception; `fault`: what was wrong."""

    state: State
    payload: bytes = b""
    code: int = 0
    fault: str = ""
    reason: str = ""


INCOMPLETE = Verdict(State.INCOMPLETE)


def check_tcp(request: Request, transaction: int, raw: bytes) -> Verdict:
    """The verdict on the bytes received since `request` was sent with this transaction id."""
    size = 2 * request.count
    head = transaction.to_bytes(2, "big") + b"\0\0"
    body = bytes((request.unit, request.function, size))
    if len(raw) == 9 + size and raw.startswith(head + (3 + size).to_bytes(2, "big") + body):
        return Verdict(State.ACCEPTED, raw[9:])
    for fault, at, want in (("transaction", 0, head[:2]), ("protocol", 2, head[2:])):
        if not want.startswith(raw[at : at + 2]):
            return _rejected(fault, raw[at : at + 2].hex(), want.hex())
    length = raw[4:6]
    if not any(n.to_bytes(2, "big").startswith(length) for n in (3 + size, 3)):
        return _rejected("length", length.hex(), f"{3 + size:04x}")
    if len(length) < 2:
        return INCOMPLETE
    refused = int.from_bytes(length, "big") == 3
    return _pdu(request, raw[6:], refused, 3 if refused else 3 + size)


def check_rtu(request: Request, raw: bytes) -> Verdict:
    """The verdict on the bytes received since `request` was sent."""
    size = 2 * request.count
    refused = len(raw) > 1 and raw[1] == request.function | 0x80
    frame = 5 if refused else 5 + size
    verdict = _pdu(request, raw[: frame - 2], refused, frame - 2)
    if verdict.state in (State.INCOMPLETE, State.REJECTED):
        return verdict
    if len(raw) > frame:
        return _rejected("extra", f"{len(raw)} bytes", f"{frame}")
    if len(raw) < frame:
        return INCOMPLETE
    if (crc := crc16(raw[:-2])) != raw[-2:]:
        return _rejected("crc", raw[-2:].hex(), crc.hex())
    return verdict


def _pdu(request: Request, raw: bytes, refused: bool, size: int) -> Verdict:
    """Unit, function, byte count or code, data: `size` bytes in all."""
    if raw[:1] not in (b"", bytes((request.unit,))):
        return _rejected("unit", str(raw[0]), str(request.unit))
    function = request.function | 0x80 if refused else request.function
    if raw[1:2] not in (b"", bytes((function,))):
        return _rejected("function", str(raw[1]), str(function))
    if not refused and raw[2:3] not in (b"", bytes((2 * request.count,))):
        return _rejected("byte count", str(raw[2]), str(2 * request.count))
    if len(raw) > size:
        return _rejected("extra", f"{len(raw)} bytes", str(size))
    if len(raw) < size:
        return INCOMPLETE
    if not refused:
        return Verdict(State.ACCEPTED, raw[3:])
    return Verdict(State.EXCEPTION, code=raw[2]) if raw[2] else _rejected("exception code", "0", "1 or more")


def _rejected(fault: str, got: str, want: str) -> Verdict:
    return Verdict(State.REJECTED, fault=fault, reason=f"{fault} {got} instead of {want}")


def crc16(data: bytes) -> bytes:
    """The Modbus CRC of `data`, as sent: low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _crc_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()
