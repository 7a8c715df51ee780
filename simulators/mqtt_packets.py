"""MQTT 5 and 3.1.1 packets as a broker needs them: bytes in, fields out, and back. For demo and tests.

Source: OASIS MQTT 5.0 (2019) and 3.1.1 (2014), chapters 2 and 3. QoS 2 is not offered.
"""

from __future__ import annotations

import struct
from asyncio import IncompleteReadError, StreamReader
from dataclasses import dataclass, field
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14
V5, V3 = 5, 4  # protocol level byte of CONNECT

SESSION_EXPIRY, SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, TOPIC_ALIAS, MAXIMUM_QOS, PACKET_BYTES_MAX = (
    0x11, 0x13, 0x21, 0x23, 0x24, 0x27,
)  # fmt: skip
ASSIGNED_CLIENT = 0x12
# property id → how its value is written
_FORM = {
    0x01: "B", 0x02: "I", 0x03: "s", 0x08: "s", 0x09: "b", 0x0B: "v", 0x11: "I", 0x12: "s", 0x13: "H",
    0x15: "s", 0x16: "b", 0x17: "B", 0x18: "I", 0x19: "B", 0x1A: "s", 0x1C: "s", 0x1F: "s", 0x21: "H",
    0x22: "H", 0x23: "H", 0x24: "B", 0x25: "B", 0x26: "p", 0x27: "I", 0x28: "B", 0x29: "B", 0x2A: "B",
}  # fmt: skip

Properties = dict[int, Any]


class MalformedError(Exception):
    """The client sent bytes that are not the packet they claim to be."""


class Cursor:
    """Reads fields off a packet's body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise MalformedError("packet ends too early")
        self._at += count
        return self._body[self._at - count : self._at]

    def number(self, form: str) -> int:
        (value,) = struct.unpack(f"!{form}", self.take(struct.calcsize(f"!{form}")))
        return int(value)

    def blob(self) -> bytes:
        return self.take(self.number("H"))

    def text(self) -> str:
        try:
            return self.blob().decode()
        except UnicodeDecodeError as error:
            raise MalformedError("text is not UTF-8") from error

    def length(self) -> int:
        value = shift = 0
        while shift < 28:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7
        raise MalformedError("length of more than four bytes")

    def properties(self) -> Properties:
        found: Properties = {}
        inner = Cursor(self.take(self.length()))
        while inner.left:
            key = inner.number("B")
            form = _FORM.get(key)
            if form is None:
                raise MalformedError(f"unknown property 0x{key:02x}")
            if form == "p":
                found.setdefault(key, []).append((inner.text(), inner.text()))
            elif form == "s":
                found[key] = inner.text()
            elif form == "b":
                found[key] = inner.blob()
            else:
                found[key] = inner.length() if form == "v" else inner.number(form)
        return found


@dataclass(slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Connect:
    level: int
    client: str
    clean: bool
    keep_alive_s: int
    username: str | None
    password: bytes | None
    will: Publish | None
    properties: Properties

    @property
    def session_expiry_s(self) -> int:
        if self.level == V3:
            return 0 if self.clean else 0xFFFFFFFF
        return int(self.properties.get(SESSION_EXPIRY, 0))


@dataclass(slots=True)
class Subscribe:
    packet_id: int
    filters: list[tuple[str, int]]  # filter and its options byte


async def read_packet(reader: StreamReader, bytes_max: int) -> tuple[int, int, bytes] | None:
    """(type, flags, body) of the next packet; None at the end. Raises MalformedError."""
    try:
        first = (await reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
            if shift > 21:
                raise MalformedError("length of more than four bytes")
        if length > bytes_max:
            raise MalformedError(f"packet of {length} bytes")
        return first >> 4, first & 0x0F, await reader.readexactly(length)
    except IncompleteReadError:
        return None


def decode_connect(body: bytes) -> Connect:
    cursor = Cursor(body)
    if cursor.text() != "MQTT":
        raise MalformedError("not MQTT")
    level, flags, keep_alive_s = cursor.number("B"), cursor.number("B"), cursor.number("H")
    if level not in (V3, V5):
        return Connect(level, "", True, 0, None, None, None, {})
    properties = cursor.properties() if level == V5 else {}
    client = cursor.text()
    will = None
    if flags & 0x04:
        will_properties = cursor.properties() if level == V5 else {}
        topic, payload = cursor.text(), cursor.blob()
        will = Publish(topic, payload, flags >> 3 & 3, bool(flags & 0x20), properties=will_properties)
    username = cursor.text() if flags & 0x80 else None
    password = cursor.blob() if flags & 0x40 else None
    return Connect(level, client, bool(flags & 2), keep_alive_s, username, password, will, properties)


def decode_publish(flags: int, body: bytes, level: int) -> Publish:
    cursor = Cursor(body)
    topic, qos = cursor.text(), flags >> 1 & 3
    packet_id = cursor.number("H") if qos else 0
    properties = cursor.properties() if level == V5 else {}
    payload = cursor.take(cursor.left)
    return Publish(topic, payload, qos, bool(flags & 1), bool(flags & 8), packet_id, properties)


def decode_subscribe(body: bytes, level: int, *, options: bool) -> Subscribe:
    """SUBSCRIBE, or UNSUBSCRIBE without `options`."""
    cursor = Cursor(body)
    found = Subscribe(cursor.number("H"), [])
    if level == V5:
        cursor.properties()
    while cursor.left:
        found.filters.append((cursor.text(), cursor.number("B") if options else 0))
    if not found.filters:
        raise MalformedError("subscription to nothing")
    return found


def decode_packet_id(body: bytes) -> int:
    return Cursor(body).number("H")


def decode_disconnect(body: bytes) -> tuple[int, Properties]:
    """Reason and properties; an empty body is a normal disconnection."""
    cursor = Cursor(body)
    reason = cursor.number("B") if cursor.left else 0
    return reason, cursor.properties() if cursor.left else {}


def packet(kind: int, flags: int, body: bytes) -> bytes:
    return bytes([kind << 4 | flags]) + _length(len(body)) + body


def encode_connack(level: int, code: int, *, session_present: bool, properties: Properties) -> bytes:
    body = bytes([session_present, code])
    return packet(CONNACK, 0, body + _properties(properties) if level == V5 else body)


def encode_publish(message: Publish, level: int) -> bytes:
    body = _text(message.topic)
    if message.qos:
        body += struct.pack("!H", message.packet_id)
    if level == V5:
        body += _properties({key: v for key, v in message.properties.items() if key != TOPIC_ALIAS})
    flags = message.dup << 3 | message.qos << 1 | message.retain
    return packet(PUBLISH, flags, body + message.payload)


def encode_puback(packet_id: int, code: int, level: int) -> bytes:
    body = struct.pack("!H", packet_id)
    return packet(PUBACK, 0, body + bytes([code]) if level == V5 and code else body)


def encode_suback(kind: int, packet_id: int, codes: list[int], level: int) -> bytes:
    """SUBACK or UNSUBACK; under 3.1.1 an UNSUBACK carries no codes."""
    body = struct.pack("!H", packet_id) + (b"\x00" if level == V5 else b"")
    return packet(kind, 0, body + bytes(codes) if level == V5 or kind == SUBACK else body)


def encode_disconnect(reason: int) -> bytes:
    return packet(DISCONNECT, 0, bytes([reason]))


def _length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | 0x80 if value else low)
        if not value:
            return bytes(out)


def _text(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("!H", len(raw)) + raw


def _properties(properties: Properties) -> bytes:
    body = b""
    for key, value in properties.items():
        form = _FORM[key]
        if form == "p":
            body += b"".join(bytes([key]) + _text(name) + _text(text) for name, text in value)
        elif form in "sb":
            body += bytes([key]) + _text(value)
        else:
            body += bytes([key]) + (_length(value) if form == "v" else struct.pack(f"!{form}", value))
    return _length(len(body)) + body
