"""ASDU bytes of IEC 60870-5-101/104 → objects with value, quality and time. Pure.

Widths as IEC 104 fixes them: cause of transmission 2 bytes, common address 2, object address (IOA) 3, all
little-endian. A value is kept as sent: float32 bit pattern, int16 of a normalized or scaled value, int32 of a
counter. An ASDU whose length does not agree with its object count is refused as a whole: never a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from engine.errors import BadFrame
from engine.reading import Quality

HEADER = 6
GENERAL_INTERROGATION, COUNTER_INTERROGATION, END_OF_INIT = 100, 101, 70
ACT_CON, ACT_TERM = 7, 10
UNKNOWN = {44: "type", 45: "cause", 46: "common address", 47: "object address"}
# Causes with which a station reports a value: periodic, background, spontaneous, requested, after a command,
# interrogated (station and groups), counters interrogated (general and groups).
REPORTING = frozenset({1, 2, 3, 5, 11, 12, *range(20, 42)})
COUNTER_CAUSES = range(37, 42)


@dataclass(frozen=True, slots=True)
class Form:
    """How an object of a type looks after its address. `kind` is the profile's word for it."""

    kind: str
    value: int  # bytes of the value
    quality: bool  # a quality byte follows it
    tagged: bool  # a CP56Time2a follows that

    @property
    def size(self) -> int:
        return self.value + self.quality + 7 * self.tagged


FORMS: dict[int, Form] = {
    9: Form("normalized", 2, True, False),  # M_ME_NA_1
    11: Form("scaled", 2, True, False),  # M_ME_NB_1
    13: Form("float", 4, True, False),  # M_ME_NC_1
    15: Form("counter", 4, True, False),  # M_IT_NA_1
    21: Form("normalized", 2, False, False),  # M_ME_ND_1
    34: Form("normalized", 2, True, True),  # M_ME_TD_1
    35: Form("scaled", 2, True, True),  # M_ME_TE_1
    36: Form("float", 4, True, True),  # M_ME_TF_1
    37: Form("counter", 4, True, True),  # M_IT_TB_1
}

_QDS = (
    (0x80, Quality.INVALID_DEVICE_FAULT),  # IV
    (0x40, Quality.LAST_VALUE_HELD),  # NT not topical
    (0x20, Quality.SUBSTITUTED_AT_SOURCE),  # SB
    (0x10, Quality.BLOCKED),  # BL
    (0x01, Quality.QUESTIONABLE),  # OV overflow
)
_BCR = (
    (0x80, Quality.INVALID_DEVICE_FAULT),  # IV
    (0x40, Quality.COUNTER_ADJUSTED),  # CA
    (0x20, Quality.COUNTER_ROLLOVER),  # CY; bits 0..4 are the sequence number
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A CP56Time2a: UTC ms, or None where it is marked invalid or is no date."""

    t_ms: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """One information object. `raw` as sent, `flags` bits of Quality; `tag` None where the type has none."""

    ioa: int
    raw: int
    flags: int
    tag: Tag | None


@dataclass(frozen=True, slots=True)
class Asdu:
    """`kind` and `items` are empty for types that carry no measured value or counter.

    `qualifier` is that of an interrogation command, mirrored in its confirmations; 0 elsewhere.
    """

    type: int
    cause: int
    negative: bool
    test: bool
    ca: int
    qualifier: int
    kind: str
    items: tuple[Item, ...]


def decode(asdu: bytes, zone: tzinfo = UTC) -> Asdu:
    """One ASDU. `zone` is what the station's clock shows. Raises BadFrame."""
    if len(asdu) < HEADER:
        raise BadFrame(f"an ASDU of {len(asdu)} bytes: the header alone has {HEADER}")
    type_, vsq, cause = asdu[0], asdu[1], asdu[2]
    form = FORMS.get(type_)
    asked = type_ in (GENERAL_INTERROGATION, COUNTER_INTERROGATION) and len(asdu) == HEADER + 4
    return Asdu(
        type_, cause & 0x3F, bool(cause & 0x40), bool(cause & 0x80), int.from_bytes(asdu[4:6], "little"),
        asdu[HEADER + 3] if asked else 0,
        form.kind if form else "", _items(asdu, form, vsq & 0x7F, bool(vsq & 0x80), zone) if form else (),
    )  # fmt: skip


def _items(asdu: bytes, form: Form, count: int, sequence: bool, zone: tzinfo) -> tuple[Item, ...]:
    expected = HEADER + (3 + count * form.size if sequence else count * (3 + form.size))
    if not count or len(asdu) != expected:
        raise BadFrame(f"type {asdu[0]}: {count} objects need {expected} bytes, {len(asdu)} came")
    items, at, ioa = [], HEADER, -1
    for index in range(count):
        if index == 0 or not sequence:
            ioa, at = int.from_bytes(asdu[at : at + 3], "little"), at + 3
        else:
            ioa += 1
        items.append(_item(ioa, asdu[at : at + form.size], form, zone))
        at += form.size
    return tuple(items)


def _item(ioa: int, body: bytes, form: Form, zone: tzinfo) -> Item:
    raw = int.from_bytes(body[: form.value], "little", signed=form.kind != "float")
    bits = _BCR if form.kind == "counter" else _QDS
    octet = body[form.value] if form.quality else 0
    flags = sum(int(flag) for bit, flag in bits if octet & bit)
    return Item(ioa, raw, flags, Tag(cp56(body[-7:], zone)) if form.tagged else None)


def cp56(body: bytes, zone: tzinfo = UTC) -> int | None:
    """CP56Time2a → UTC ms; None if its IV bit is set or it is no date. SU tells the repeated hour apart."""
    millis, minute, hour = int.from_bytes(body[:2], "little"), body[2] & 0x3F, body[3] & 0x1F
    if body[2] & 0x80:
        return None
    try:
        local = datetime(
            2000 + (body[6] & 0x7F), body[5] & 0x0F, body[4] & 0x1F, hour, minute, millis // 1000,
            tzinfo=zone, fold=0 if body[3] & 0x80 else 1,
        )  # fmt: skip
    except ValueError:
        return None
    return int(local.timestamp()) * 1000 + millis % 1000
