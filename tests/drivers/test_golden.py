"""Frames typed from the makers' manuals, through guard and decoder, against the values that the manual names."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from drivers.block import BlockDecoder, Field
from drivers.decode import Converter
from drivers.guard import Request, State, check_rtu, check_tcp
from drivers.profile import layout_for
from gateway.site.profiles import load_profile, profile_texts

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
METERS = sorted(path.stem for path in GOLDEN.glob("*.toml"))


def crc_bit_by_bit(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return bytes((crc & 0xFF, crc >> 8))


def golden(name: str) -> dict[str, Any]:
    return tomllib.loads((GOLDEN / f"{name}.toml").read_text(encoding="utf-8"))


def columns_of(name: str) -> tuple[Converter, list[int | None]]:
    """One reading put together from all frames of the meter."""
    profile = load_profile(name)
    rows = profile.rows
    everything = {row.quantity for row in rows if not row.is_scale}
    converter = Converter(layout_for(profile, wanted=everything))
    columns: list[int | None] = [None] * len(rows)
    for frame in golden(name)["frame"]:
        request, response = bytes.fromhex(frame["request"]), bytes.fromhex(frame["response"])
        asked = Request(request[0], request[1], int.from_bytes(request[2:4]), int.from_bytes(request[4:6]))
        verdict = check_rtu(asked, response)
        assert verdict.state is State.ACCEPTED, verdict.reason
        inside = [
            (place, row) for place, row in enumerate(rows)
            if row.function == asked.function
            and asked.address <= row.address and row.address + row.width <= asked.address + asked.count
        ]  # fmt: skip
        assert inside, "the frame holds no row of the profile"
        fields = [Field(row.address - asked.address, row.wire, row.order == "little") for _, row in inside]
        values = BlockDecoder(asked.count, fields).columns(verdict.payload)
        for (place, _), value in zip(inside, values, strict=True):
            columns[place] = value
    return converter, columns


def test_every_modbus_profile_has_a_golden_file() -> None:
    assert set(METERS) == {name for name in profile_texts() if not load_profile(name).iec104}


@pytest.mark.parametrize("name", METERS)
def test_the_typed_frames_carry_a_right_crc(name: str) -> None:
    for frame in golden(name)["frame"]:
        for text in frame.values():
            data = bytes.fromhex(text)
            assert data[-2:] == crc_bit_by_bit(data[:-2])


@pytest.mark.parametrize("name", METERS)
def test_values_are_those_of_the_manual(name: str) -> None:
    converter, columns = columns_of(name)
    assert converter.values(columns) == golden(name)["values"]


@pytest.mark.parametrize("name", METERS)
def test_the_engine_gets_exact_milliwatthours(name: str) -> None:
    converter, columns = columns_of(name)
    found = {key: value for key, value in converter.engine_values(columns)._asdict().items() if value is not None}
    assert found == golden(name)["engine"]


@pytest.mark.parametrize("name", METERS)
def test_the_same_registers_in_tcp_framing_give_the_same_payload(name: str) -> None:
    for frame in golden(name)["frame"]:
        request, response = bytes.fromhex(frame["request"]), bytes.fromhex(frame["response"])
        asked = Request(request[0], request[1], int.from_bytes(request[2:4]), int.from_bytes(request[4:6]))
        body = response[:-2]
        verdict = check_tcp(asked, 0x1234, b"\x12\x34\0\0" + len(body).to_bytes(2) + body)
        assert verdict.payload == check_rtu(asked, response).payload
