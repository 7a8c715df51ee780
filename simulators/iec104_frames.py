"""The station's side of IEC 60870-5-104: APCI and ASDU bytes, written and read by hand. No socket here.

Written from the standard and apart from the gateway's decoder, so that the two check each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

START = 0x68
ASDU_MAX = 249
SEQUENCES = 1 << 15
STARTDT_ACT, STARTDT_CON = 0x07, 0x0B
STOPDT_ACT, STOPDT_CON = 0x13, 0x23
TESTFR_ACT, TESTFR_CON = 0x43, 0x83

M_EI, C_IC, C_CI, C_CS = 70, 100, 101, 103
# kind of a value: (type without time tag, with CP56Time2a)
TYPES = {"float": (13, 36), "scaled": (11, 35), "normalized": (9, 34), "counter": (15, 37)}
_SIZES = {9: 3, 11: 3, 13: 5, 15: 5, 34: 10, 35: 10, 36: 12, 37: 12}
OV, BL, SB, NT, IV = 0x01, 0x10, 0x20, 0x40, 0x80
CY, CA = 0x20, 0x40


@dataclass(frozen=True, slots=True)
class Frame:
    """A received APDU: `control` of a U-frame or None; `ns` of an I-frame or None; `nr` of I and S."""

    control: int | None = None
    ns: int | None = None
    nr: int = 0
    asdu: bytes = b""


def u_frame(control: int) -> bytes:
    return bytes((START, 4, control, 0, 0, 0))


def s_frame(nr: int) -> bytes:
    return bytes((START, 4, 1, 0)) + (nr << 1).to_bytes(2, "little")


def i_frame(ns: int, nr: int, asdu: bytes) -> bytes:
    return bytes((START, 4 + len(asdu))) + struct.pack("<HH", ns << 1, nr << 1) + asdu


def parse(body: bytes) -> Frame:
    """What follows the length byte."""
    if body[0] & 3 == 3:
        return Frame(control=body[0])
    first, second = struct.unpack_from("<HH", body)
    if body[0] & 1:
        return Frame(nr=second >> 1)
    return Frame(ns=first >> 1, nr=second >> 1, asdu=body[4:])


def asdu_head(type_: int, count: int, cause: int, ca: int, *, sequence: bool = False) -> bytes:
    """Type, VSQ, cause (with its negative and test bits), originator 0, common address."""
    return struct.pack("<BBBBH", type_, count | (0x80 if sequence else 0), cause, 0, ca)


def system_asdu(type_: int, cause: int, ca: int, qualifier: int) -> bytes:
    """One object at address 0 with a qualifier byte: end of initialisation, interrogations."""
    return asdu_head(type_, 1, cause, ca) + bytes((0, 0, 0, qualifier))


def cp56time2a(t_ms: int, *, invalid: bool = False) -> bytes:
    """UTC ms as CP56Time2a."""
    moment = datetime.fromtimestamp(t_ms // 1000, UTC)
    return struct.pack(
        "<HBBBBB", moment.second * 1000 + t_ms % 1000, moment.minute | (0x80 if invalid else 0), moment.hour,
        moment.day | moment.isoweekday() << 5, moment.month, moment.year - 2000,
    )  # fmt: skip


def value_bytes(kind: str, value: float, octet: int) -> bytes:
    """A value and its quality octet. Counters wrap to 32 bits; a normalized value is -1 … 1 - 2^-15."""
    if kind == "float":
        return struct.pack("<fB", value, octet)
    if kind == "counter":
        return struct.pack("<IB", int(value) & 0xFFFFFFFF, octet)
    count = round(value * 32768) if kind == "normalized" else round(value)
    return struct.pack("<hB", max(-32768, min(32767, count)), octet)


def object_asdus(type_: int, cause: int, ca: int, objects: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
    """Objects (address, body) of one type in as few ASDUs as hold them.

    Neighbouring addresses without time tag go as a sequence (SQ = 1), everything else one by one.
    """
    size, tagged = _SIZES[type_], type_ >= 30
    addresses = [address for address, _ in objects]
    first = addresses[0] if addresses else 0
    sequence = len(objects) > 1 and not tagged and addresses == list(range(first, first + len(objects)))
    most = min(127, (ASDU_MAX - 9) // size if sequence else (ASDU_MAX - 6) // (3 + size))
    for at in range(0, len(objects), most):
        part = objects[at : at + most]
        asdu = asdu_head(type_, len(part), cause, ca, sequence=sequence)
        for index, (address, body) in enumerate(part):
            asdu += (b"" if sequence and index else address.to_bytes(3, "little")) + body
        yield asdu
