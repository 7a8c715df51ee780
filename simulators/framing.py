"""The slave's side of Modbus framing: requests out of a byte stream, answers into bytes. No socket here.

MBAP (TCP): transaction, protocol 0, length, unit, PDU. RTU: unit, PDU, CRC-16 (low byte first).
"""

from __future__ import annotations

from dataclasses import dataclass

BUFFER_MAX = 4096  # more than this without a request is not Modbus: dropped
READ_HOLDING = 3
READ_INPUT = 4
ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
NO_TARGET = 11  # a gateway's word for "nobody has this unit id"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `transaction` is None on RTU framing."""

    unit: int
    pdu: bytes
    transaction: int | None


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS of `data`; sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def mbap_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def frame(request: Request, unit: int, pdu: bytes) -> bytes:
    """The answer in the framing of its request."""
    if request.transaction is None:
        return rtu_frame(unit, pdu)
    return mbap_frame(request.transaction, unit, pdu)


def take_mbap(buffer: bytearray) -> list[Request]:
    """Remove and return the whole requests in front of `buffer`. What is not Modbus empties it."""
    found: list[Request] = []
    while len(buffer) >= 8:
        length = int.from_bytes(buffer[4:6], "big")
        if buffer[2] or buffer[3] or not 2 <= length <= 254:
            buffer.clear()
            break
        if len(buffer) < 6 + length:
            break
        found.append(Request(buffer[6], bytes(buffer[7 : 6 + length]), int.from_bytes(buffer[:2], "big")))
        del buffer[: 6 + length]
    return found


def take_rtu(buffer: bytearray) -> list[Request]:
    """Remove and return the whole requests in `buffer`; bytes before a frame with a right CRC are dropped."""
    found: list[Request] = []
    start = 0
    while len(buffer) - start >= 4:
        size = _rtu_size(buffer, start)
        if size is None or len(buffer) - start < size:
            break
        body = bytes(buffer[start : start + size])
        if crc16(body[:-2]) == int.from_bytes(body[-2:], "little"):
            found.append(Request(body[0], body[1:-2], None))
            del buffer[: start + size]
            start = 0
        else:
            start += 1
    if len(buffer) > BUFFER_MAX:
        buffer.clear()
    return found


def _rtu_size(buffer: bytearray, start: int) -> int | None:
    """Bytes of the request that begins at `start`, CRC included; None = not yet known."""
    function = buffer[start + 1]
    if function in (15, 16):
        return buffer[start + 6] + 9 if len(buffer) - start >= 7 else None
    if function in (7, 11, 12, 17):
        return 4
    return 8
