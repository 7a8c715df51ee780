"""The bytes of a commit's readings: without loss, and as docs/formats/db.md says."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Corrupt
from engine.reading import Reading
from gateway.store.blob import decode_readings, encode_readings

METERS = {"fan": 1, "main-1": 2, "oven": 7}
LAYOUTS = {"aaaa": 1, "bbbb": 2, "cccc": 3}
WIDTHS = {"aaaa": 4, "bbbb": 1, "cccc": 0}
METER_IDS = {number: name for name, number in METERS.items()}
LAYOUT_IDS = {number: name for name, number in LAYOUTS.items()}

raw = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.floats(width=32).map(lambda x: struct.unpack("<I", struct.pack("<f", x))[0]),
    st.floats().map(lambda x: struct.unpack("<q", struct.pack("<d", x))[0]),
    st.sampled_from([0, 1, -1, 0x7FC00000, -(2**63), 2**63 - 1, 2**64 - 1]),
)


@st.composite
def reading(draw: st.DrawFn) -> Reading:
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    t_ms = draw(st.integers(-(2**45), 2**45))
    return Reading(
        draw(st.sampled_from(sorted(METERS))),
        t_ms,
        draw(st.integers(1, 2**31)),
        draw(st.integers(0, 2**45)),
        layout,
        tuple(draw(raw) for _ in range(WIDTHS[layout])),
        draw(st.integers(0, 2**18 - 1)),
    )


@given(st.lists(reading(), min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_every_reading_comes_back_as_it_was(readings: list[Reading]) -> None:
    blob = encode_readings(readings, METERS, LAYOUTS)
    assert decode_readings(blob, METER_IDS, LAYOUT_IDS) == readings
    assert foreign(blob) == [_plain(r) for r in readings]


@given(st.lists(reading(), min_size=1, max_size=5), st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_block_is_refused_and_never_half_read(readings: list[Reading], data: st.DataObject) -> None:
    blob = encode_readings(readings, METERS, LAYOUTS)
    place = data.draw(st.integers(0, len(blob) - 1))
    damaged = bytearray(blob)
    damaged[place] ^= data.draw(st.integers(1, 255))
    assert outcome(bytes(damaged)) in (readings, "refused")  # some bits of a zlib header say nothing
    with pytest.raises(Corrupt):
        decode_readings(blob[: data.draw(st.integers(0, len(blob) - 1))], METER_IDS, LAYOUT_IDS)


def test_bytes_after_the_end_of_a_block_are_refused() -> None:
    blob = encode_readings([Reading("fan", 5, 1, 5, "bbbb", (3,))], METERS, LAYOUTS)
    with pytest.raises(Corrupt, match="damaged"):
        decode_readings(blob + b"\0", METER_IDS, LAYOUT_IDS)


def test_a_block_of_a_newer_version_is_refused_by_its_number() -> None:
    blob = encode_readings([Reading("fan", 5, 1, 5, "bbbb", (3,))], METERS, LAYOUTS)
    with pytest.raises(Corrupt, match="version 2, this program reads 1"):
        decode_readings(b"\x02" + blob[1:], METER_IDS, LAYOUT_IDS)


def test_a_number_that_no_meter_has_is_refused() -> None:
    blob = encode_readings([Reading("oven", 5, 1, 5, "bbbb", (3,))], METERS, LAYOUTS)
    with pytest.raises(Corrupt):
        decode_readings(blob, {1: "fan"}, LAYOUT_IDS)


def test_the_bytes_of_version_1_stay_what_they_are() -> None:
    readings = [
        Reading("main-1", 1000, 3, 400, "aaaa", (1, None, -2, 2**64 - 1)),
        Reading("fan", 1001, 3, 401, "bbbb", (258,), 65536),
    ]
    body = bytes.fromhex(
        "02000000"  # two readings
        "01" "0401"  # meters 2, 1: steps +2 −1
        "01" "0202"  # layouts 1, 2
        "02" "d002" "0700"  # t 1000, 1001: 2000 = 07d0 and 2, low bytes first
        "01" "0600"  # boot 3, 3
        "02" "b000" "0400"  # t − mono 600, 600
        "03" "0000" "0000" "0002"  # flags 0, 65536
        "0400" "01" "02" "8000" "01" "03" "09feffffffffffffff01"  # layout 1: 1, none, −2, 2^64−1
        "0100" "02" "0402"  # layout 2: 258
    )  # fmt: skip
    blob = encode_readings(readings, METERS, LAYOUTS)
    assert blob[0] == 1
    assert zlib.decompress(blob[1:]).hex() == body.hex()
    assert decode_readings(b"\x01" + zlib.compress(body, 1), METER_IDS, LAYOUT_IDS) == readings


def outcome(blob: bytes) -> list[Reading] | str:
    try:
        return decode_readings(blob, METER_IDS, LAYOUT_IDS)
    except Corrupt:
        return "refused"


def _plain(r: Reading) -> tuple[object, ...]:
    return (METERS[r.meter], LAYOUTS[r.layout], r.t_ms, r.boot_id, r.mono_ms, r.flags, r.columns)


def foreign(blob: bytes) -> list[tuple[object, ...]]:
    """A decoder written from docs/formats/db.md alone."""
    body = zlib.decompress(blob[1:])
    at = 4

    def column(count: int) -> list[int | None]:
        nonlocal at
        width, at = body[at], at + 1
        present = list(range(count))
        if width >= 128:
            size = -(-count // 8)
            present = [i for i in range(count) if body[at + i // 8] >> i % 8 & 1]
            width, at = width - 128, at + size
        n, values, value = len(present), [None] * count, 0
        for k, i in enumerate(present):
            z = sum(body[at + plane * n + k] << 8 * plane for plane in range(width))
            value += z // 2 if z % 2 == 0 else -(z + 1) // 2
            values[i] = value
        at += n * width
        return values

    count = int.from_bytes(body[:4], "little")
    meter, layout, t_ms, boot, offset, flags = (column(count) for _ in range(6))
    found: list[tuple[object, ...]] = [()] * count
    for kind in dict.fromkeys(layout):
        rows = sorted((meter[i], i) for i in range(count) if layout[i] == kind)
        width, at = int.from_bytes(body[at : at + 2], "little"), at + 2
        table = [column(len(rows)) for _ in range(width)]
        for k, (_, i) in enumerate(rows):
            values = tuple(c[k] for c in table)
            found[i] = (meter[i], kind, t_ms[i], boot[i], t_ms[i] - offset[i], flags[i], values)
    assert at == len(body)
    return found
