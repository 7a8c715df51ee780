"""Frames of the slave's side, typed by hand (the RTU examples carry CRCs of the Modbus specification's method)."""

import pytest

from simulators.framing import Request, crc16, frame, take_mbap, take_rtu

READ_RTU = bytes.fromhex("01 03 00 00 00 0a c5 cd")  # unit 1, 10 holding registers from 0
READ_MBAP = bytes.fromhex("1234 0000 0006 01 03 0000 000a")


def test_crc_of_known_frames() -> None:
    assert crc16(bytes.fromhex("01030000000a")) == 0xCDC5
    assert crc16(b"123456789") == 0x4B37


def test_an_answer_takes_the_framing_of_its_request() -> None:
    pdu = bytes.fromhex("03 02 0102")
    assert frame(Request(1, b"", 0x1234), 1, pdu).hex(" ") == "12 34 00 00 00 05 01 03 02 01 02"
    assert frame(Request(1, b"", None), 1, pdu).hex(" ") == "01 03 02 01 02 38 15"


def test_mbap_requests_are_taken_whole_from_any_pieces() -> None:
    buffer = bytearray()
    found = []
    for byte in READ_MBAP * 2:
        buffer.append(byte)
        found += take_mbap(buffer)
    assert found == [Request(1, bytes.fromhex("030000000a"), 0x1234)] * 2
    assert not buffer


@pytest.mark.parametrize("head", ["1234 0001 0006 01 03", "1234 0000 0001 01 03", "1234 0000 00ff 01 03"])
def test_what_is_not_mbap_empties_the_buffer(head: str) -> None:
    buffer = bytearray.fromhex(head) + b"\0\0\0\0"
    assert take_mbap(buffer) == []
    assert not buffer


def test_rtu_requests_are_found_behind_noise() -> None:
    buffer = bytearray(b"\xff\x00\x17" + READ_RTU + READ_RTU[:5])
    assert take_rtu(buffer) == [Request(1, READ_RTU[1:-2], None)]
    buffer += READ_RTU[5:]
    assert take_rtu(buffer) == [Request(1, READ_RTU[1:-2], None)]
    assert not buffer


def test_an_rtu_frame_with_a_wrong_crc_is_no_request() -> None:
    assert take_rtu(bytearray(READ_RTU[:-1] + b"\x00")) == []


def test_rtu_writes_and_short_requests_have_their_own_length() -> None:
    write = bytes.fromhex("01 10 0001 0002 04 000a 0102")
    identify = bytes.fromhex("01 11")
    stream = b"".join(body + crc16(body).to_bytes(2, "little") for body in (write, identify))
    assert [request.pdu for request in take_rtu(bytearray(stream))] == [write[1:], identify[1:]]


def test_a_stream_that_never_makes_a_frame_does_not_grow() -> None:
    buffer = bytearray(b"\x10" * 5000)
    take_rtu(buffer)
    assert len(buffer) <= 4096
