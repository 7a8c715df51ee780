"""What only RTU framing has: late answers that look like the next one, a line that must fall silent, a device."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import serial

from drivers.modbus import ModbusBus
from engine.errors import BadFrame, LinkDown, NoReply
from gateway.site.settings import Bus

TIOCGEXCL = 0x80045440  # Linux: is the terminal held exclusively?
Listening = Callable[[str], Awaitable[Any]]


def counting(address: int, count: int) -> bytes:
    """Registers that hold their own address."""
    return b"".join(struct.pack(">H", address + n) for n in range(count))


@pytest.fixture
async def serial_line(listening: Listening) -> Any:
    return await listening("modbus-rtu")


async def test_a_late_answer_on_rtu_framing_is_never_taken_for_the_next(
    listening: Listening, serial_line: Any, frames: Any, bus_to: Any
) -> None:
    for peer in (await listening("modbus-rtu-tcp"), serial_line):
        delays = [0.3, 0.0, 0.0, 0.6, 0.0, 0.0]

        def script(request: bytes, peer: Any = peer, delays: list[float] = delays) -> list[tuple[float, bytes]]:
            return [(delays.pop(0) if delays else 0.0, frames.answer(request, counting))]

        peer.script = script
        bus = bus_to(peer)
        taken = 0
        for address in range(100, 112):  # each register holds its address, so a late answer would show
            try:
                assert await bus.read_registers(1, 3, address, 2) == counting(address, 2)
                taken += 1
            except (NoReply, BadFrame):
                continue
        assert taken >= 6
        assert any(request[5] != 2 for request in peer.requests), "no probe of another shape was sent"


async def test_a_late_answer_is_not_taken_for_the_next_even_where_order_is_not_kept(
    listening: Listening, frames: Any, bus_to: Any
) -> None:
    peer = await listening("modbus-rtu-tcp")
    peer.in_order = False
    delays = [0.0, 0.4, 0.0, 0.0, 0.0, 0.35]
    peer.script = lambda request: [(delays.pop(0) if delays else 0.0, frames.answer(request, counting))]
    bus = bus_to(peer)
    taken = 0
    for address in range(100, 110):
        try:
            assert await bus.read_registers(1, 3, address, 2) == counting(address, 2)
            taken += 1
        except (NoReply, BadFrame):
            continue
    assert taken >= 6


async def test_a_late_answer_of_one_meter_is_never_that_of_another(
    listening: Listening, frames: Any, bus_to: Any
) -> None:
    peer = await listening("modbus-rtu-tcp")

    def script(request: bytes) -> list[tuple[float, bytes]]:
        slow = request[0] == 1 and len(peer.requests) == 1
        answer = frames.answer(request, lambda address, count: bytes((request[0],)) * 2 * count)
        return [(0.35 if slow else 0.0, answer)]

    peer.script = script
    bus = bus_to(peer)
    with pytest.raises(NoReply):
        await bus.read_registers(1, 3, 0, 2)
    failed = 0
    for unit in (2, 2, 2, 1, 2, 1):
        await asyncio.sleep(0.02)
        try:
            assert await bus.read_registers(unit, 3, 0, 2) == bytes((unit,)) * 4
        except BadFrame:  # the late answer of unit 1 came while unit 2 was asked
            failed += 1
    assert failed <= 1
    assert len(peer.requests) >= 7


async def test_a_line_that_never_falls_silent_is_link_down(listening: Listening, bus_to: Any) -> None:
    peer = await listening("modbus-rtu-tcp")
    peer.script = lambda request: [(0.01, b"\x55")] * 400
    bus = bus_to(peer)
    with pytest.raises(BadFrame):
        await bus.read_registers(1, 3, 0, 2)
    with pytest.raises(LinkDown, match="never falls silent"):
        await bus.read_registers(1, 3, 0, 2)


async def test_a_missing_serial_device_names_it_and_a_command(tmp_path: Any) -> None:
    device = str(tmp_path / "rs485-hall")
    bus = ModbusBus(Bus(id="b", protocol="modbus-rtu", device=device), {})
    with pytest.raises(LinkDown, match="no such device") as caught:
        await bus.read_registers(1, 3, 0, 1)
    assert device in str(caught.value)
    assert f"ls -l {device}" in caught.value.hint


async def test_a_serial_device_in_use_names_the_command_that_shows_who(serial_line: Any, bus_to: Any) -> None:
    holder = os.open(serial_line.device, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(LinkDown, match="another process uses it") as caught:
            await bus_to(serial_line).read_registers(1, 3, 0, 1)
    finally:
        os.close(holder)
    assert f"fuser -v {serial_line.device}" in caught.value.hint


async def test_an_open_serial_line_is_held_exclusively(serial_line: Any, frames: Any, bus_to: Any) -> None:
    serial_line.script = lambda request: [(0, frames.answer(request, counting))]
    await bus_to(serial_line).read_registers(1, 3, 0, 1)
    with pytest.raises(serial.SerialException, match=r"exclusively lock|busy"):
        serial.Serial(serial_line.device, exclusive=True)
    if os.geteuid():
        with pytest.raises(OSError, match="busy"):
            os.open(serial_line.device, os.O_RDWR | os.O_NOCTTY)
        return
    other = os.open(serial_line.device, os.O_RDWR | os.O_NOCTTY)  # root is not kept out, but can look
    held = fcntl.ioctl(other, TIOCGEXCL, b"\0" * 4)
    os.close(other)
    assert int.from_bytes(held, "little") == 1
