"""ModbusBus over real sockets and a pty, against a peer whose bytes are written by hand."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from drivers.decode import Converter
from drivers.modbus import ModbusBus
from drivers.profile import MeterProfile, parse_profile
from drivers.registry import open_bus
from engine.errors import BadFrame, ConfigError, LinkDown, NoReply, Refused
from engine.reading import Quality
from gateway.site.profiles import load_profile
from gateway.site.settings import Bus

Listening = Callable[[str], Awaitable[Any]]
TWO_BLOCKS = parse_profile(
    "two",
    'vendor="V"\nmodel="M"\nprotocols=["modbus-tcp"]\nholes=true\nmax_registers=10\nreadings=['
    '{ quantity = "active_energy_import", address = 0, type = "uint32" },'
    '{ quantity = "voltage_l1_n", address = 8, type = "uint16" },'
    '{ quantity = "current_l1", address = 100, type = "uint16" }]',
)


def counting(address: int, count: int) -> bytes:
    """Registers that hold their own address."""
    return b"".join(struct.pack(">H", (address + n) & 0xFFFF) for n in range(count))


def floats(address: int, count: int) -> bytes:
    """Float32 pairs that hold their own address plus 0.1."""
    return b"".join(struct.pack(">f", address + 2 * n + 0.1) for n in range(count // 2)) + b"\0\0" * (count % 2)


@pytest.fixture(params=["modbus-tcp", "modbus-rtu-tcp", "modbus-rtu"])
async def peer(request: pytest.FixtureRequest, listening: Listening) -> Any:
    return await listening(request.param)


async def test_a_poll_brings_every_quantity_on_every_framing(
    peer: Any, frames: Any, bus_to: Any, point_of: Any
) -> None:
    profile = load_profile("eastron-sdm630")
    peer.script = lambda request: [(0, frames.answer(request, floats))]
    bus, point = bus_to(peer, profile), point_of(profile, 7)
    before = time.monotonic_ns()
    answer = await bus.poll(point)
    assert before < answer.mono_ns < time.monotonic_ns()
    assert (answer.meter, answer.flags, answer.tag_ms) == ("meter-7", 0, None)
    values = Converter(point.layout).values(answer.columns)
    assert len(values) == 23  # a power factor of 62.1 is none
    assert values["active_power_w"] == 52.1
    assert values["voltage_l3_l1_v"] == 204.1
    assert values["active_energy_import_wh"] == 72099.998  # float32 72.1 kWh


async def test_an_answer_in_pieces_is_put_together(peer: Any, frames: Any, bus_to: Any) -> None:
    def script(request: bytes) -> list[tuple[float, bytes]]:
        answer = frames.answer(request, counting)
        return [(0.002, answer[n : n + 3]) for n in range(0, len(answer), 3)]

    peer.script = script
    assert await bus_to(peer).read_registers(1, 3, 500, 4) == counting(500, 4)


async def test_silence_is_no_reply_after_the_time_out(peer: Any, bus_to: Any) -> None:
    started = time.monotonic()
    with pytest.raises(NoReply, match=r"unit 9 at .*: no answer within 250 ms") as caught:
        await bus_to(peer).read_registers(9, 3, 0, 2)
    assert time.monotonic() - started >= 0.25
    assert "wiring" in caught.value.hint


async def test_an_exception_is_a_refusal_and_the_line_goes_on(peer: Any, frames: Any, bus_to: Any) -> None:
    def script(request: bytes) -> list[tuple[float, bytes]]:
        if len(peer.requests) == 1:
            return [(0, frames.rtu(1, 0x83, 2) if peer.size == 8 else frames.tcp(request[:2], 1, 0x83, 2))]
        return [(0, frames.answer(request, counting))]

    peer.script = script
    bus = bus_to(peer)
    with pytest.raises(Refused, match="no such register") as caught:
        await bus.read_registers(1, 3, 5, 1)
    assert caught.value.code == 2
    assert await bus.read_registers(1, 3, 5, 1) == counting(5, 1)
    assert peer.connections <= 1


async def test_a_gateway_that_cannot_reach_the_meter_is_no_reply(
    listening: Listening, frames: Any, bus_to: Any
) -> None:
    peer = await listening("modbus-tcp")
    peer.script = lambda request: [(0, frames.tcp(request[:2], 1, 0x83, 11))]
    with pytest.raises(NoReply, match="does not answer the gateway"):
        await bus_to(peer).read_registers(1, 3, 5, 1)


async def test_a_wrong_answer_is_never_a_value_and_is_counted(peer: Any, frames: Any, bus_to: Any) -> None:
    def script(request: bytes) -> list[tuple[float, bytes]]:
        answer = frames.answer(request, counting)
        if len(peer.requests) > 1:
            return [(0, answer)]
        head = 0 if peer.size == 8 else 6
        wrong = answer[:head] + bytes((answer[head] ^ 1,)) + answer[head + 1 :]
        return [(0, wrong if peer.size == 12 else frames.rtu(wrong[:-2]))]

    peer.script = script
    bus = bus_to(peer)
    with pytest.raises(BadFrame, match="unit 0 instead of 1"):
        await bus.read_registers(1, 3, 5, 2)
    assert bus.discarded == {"unit": 1}
    assert await bus.read_registers(1, 3, 5, 2) == counting(5, 2)


async def test_half_an_answer_is_a_bad_frame(peer: Any, frames: Any, bus_to: Any) -> None:
    peer.script = lambda request: [(0, frames.answer(request, counting)[:-3])]
    bus = bus_to(peer)
    with pytest.raises(BadFrame, match=r"only .* bytes came"):
        await bus.read_registers(1, 3, 5, 2)
    assert bus.discarded == {"incomplete": 1}


async def test_tcp_connects_anew_after_a_time_out_and_after_a_wrong_answer(
    listening: Listening, frames: Any, bus_to: Any
) -> None:
    peer = await listening("modbus-tcp")
    wrong = [[], [(0.0, b"\xff" * 20)]]
    peer.script = lambda request: wrong.pop(0) if wrong else [(0, frames.answer(request, counting))]
    bus = bus_to(peer)
    with pytest.raises(NoReply):
        await bus.read_registers(1, 3, 5, 2)
    with pytest.raises(BadFrame):
        await bus.read_registers(1, 3, 5, 2)
    assert await bus.read_registers(1, 3, 5, 2) == counting(5, 2)
    assert await bus.read_registers(1, 3, 5, 2) == counting(5, 2)
    assert peer.connections == 3


async def test_tcp_connects_anew_when_bytes_come_that_nobody_asked_for(
    listening: Listening, frames: Any, bus_to: Any
) -> None:
    peer = await listening("modbus-tcp")
    peer.script = lambda request: [(0, frames.answer(request, counting)), (0.01, b"\0\0\0")]
    bus = bus_to(peer)
    assert await bus.read_registers(1, 3, 5, 2) == counting(5, 2)
    await asyncio.sleep(0.05)
    assert await bus.read_registers(1, 3, 6, 2) == counting(6, 2)
    assert peer.connections == 2


async def test_a_connection_that_the_meter_closed_is_opened_again(
    listening: Listening, frames: Any, bus_to: Any
) -> None:
    peer = await listening("modbus-tcp")
    peer.script = lambda request: [(0, frames.answer(request, counting))]
    bus = bus_to(peer)
    await bus.read_registers(1, 3, 5, 2)
    peer.hang_up()
    await asyncio.sleep(0.05)
    assert await bus.read_registers(1, 3, 5, 2) == counting(5, 2)


async def test_a_connection_lost_while_waiting_is_link_down(listening: Listening, bus_to: Any) -> None:
    peer = await listening("modbus-tcp")

    def script(request: bytes) -> list[tuple[float, bytes]]:
        peer.hang_up()
        return []

    peer.script = script
    with pytest.raises(LinkDown, match="closed the connection"):
        await bus_to(peer, timeout="5s").read_registers(1, 3, 5, 2)


async def test_transaction_ids_differ_from_request_to_request(listening: Listening, frames: Any, bus_to: Any) -> None:
    peer = await listening("modbus-tcp")
    peer.script = lambda request: [(0, frames.answer(request, counting))]
    bus = bus_to(peer)
    for _ in range(5):
        await bus.read_registers(1, 3, 5, 2)
    ids = [request[:2] for request in peer.requests]
    assert len(set(ids)) == 5
    assert b"\0\0" not in ids


async def test_a_failed_block_leaves_its_columns_empty_and_the_reading_partial(
    listening: Listening, frames: Any, bus_to: Any, point_of: Any
) -> None:
    peer = await listening("modbus-tcp")

    def script(request: bytes) -> list[tuple[float, bytes]]:
        return [] if request[8:10] == b"\0\x64" else [(0, frames.answer(request, counting))]

    peer.script = script
    answer = await bus_to(peer, TWO_BLOCKS).poll(point_of(TWO_BLOCKS))
    assert answer.columns == (0x00000001, 8, None)
    assert answer.flags == Quality.PARTIAL


async def test_a_meter_that_falls_silent_in_a_poll_is_not_asked_for_the_rest(
    listening: Listening, frames: Any, bus_to: Any, point_of: Any
) -> None:
    peer = await listening("modbus-tcp")
    profile = parse_profile(
        "three",
        'vendor="V"\nmodel="M"\nprotocols=["modbus-tcp"]\nreadings=['
        '{ quantity = "active_energy_import", address = 0, type = "uint32" },'
        '{ quantity = "voltage_l1_n", address = 50, type = "uint16" },'
        '{ quantity = "current_l1", address = 100, type = "uint16" }]',
    )
    peer.script = lambda request: [] if len(peer.requests) > 1 else [(0, frames.answer(request, counting))]
    answer = await bus_to(peer, profile).poll(point_of(profile))
    assert (answer.columns, answer.flags) == ((1, None, None), Quality.PARTIAL)
    assert len(peer.requests) == 2


async def test_a_dead_meter_costs_one_time_out_only(peer: Any, bus_to: Any, point_of: Any) -> None:
    with pytest.raises(NoReply):
        await bus_to(peer, TWO_BLOCKS).poll(point_of(TWO_BLOCKS))
    assert len(peer.requests) == 1


async def test_a_block_refused_for_its_holes_is_read_in_parts(
    listening: Listening, frames: Any, bus_to: Any, point_of: Any
) -> None:
    peer, defined = await listening("modbus-tcp"), {0, 1, 8, 100}

    def script(request: bytes) -> list[tuple[float, bytes]]:
        first, count = struct.unpack(">HH", request[8:])
        if set(range(first, first + count)) <= defined:
            return [(0, frames.answer(request, counting))]
        return [(0, frames.tcp(request[:2], 1, 0x83, 2))]

    peer.script = script
    bus, point = bus_to(peer, TWO_BLOCKS), point_of(TWO_BLOCKS)
    for _ in range(2):
        answer = await bus.poll(point)
        assert (answer.columns, answer.flags) == ((1, 8, 100), 0)
    assert [struct.unpack(">HH", request[8:]) for request in peer.requests] == [
        (0, 9), (0, 2), (8, 1), (100, 1), (0, 2), (8, 1), (100, 1),
    ]  # fmt: skip


def optional() -> MeterProfile:
    return parse_profile(
        "opt",
        'vendor="V"\nmodel="M"\nprotocols=["modbus-tcp"]\nreadings=['
        '{ quantity = "active_energy_import", address = 0, type = "uint32" },'
        '{ quantity = "current_n", address = 2, type = "uint16", optional = true }]',
    )


async def test_an_optional_register_that_the_meter_lacks_is_left_out_for_good(
    listening: Listening, frames: Any, bus_to: Any, point_of: Any
) -> None:
    peer = await listening("modbus-tcp")

    def script(request: bytes) -> list[tuple[float, bytes]]:
        first, count = struct.unpack(">HH", request[8:])
        if first + count > 2:
            return [(0, frames.tcp(request[:2], 1, 0x83, 2))]
        return [(0, frames.answer(request, counting))]

    peer.script = script
    bus, point = bus_to(peer, optional()), point_of(optional())
    for _ in range(3):
        answer = await bus.poll(point)
        assert (answer.columns, answer.flags) == ((1, None), 0)
    assert [request[9] for request in peer.requests] == [0, 0, 2, 0, 0]


async def test_a_cancelled_poll_leaves_nothing_to_be_mistaken(peer: Any, frames: Any, bus_to: Any) -> None:
    peer.script = lambda request: [(0.05 if len(peer.requests) == 1 else 0.0, frames.answer(request, counting))]
    bus = bus_to(peer)
    task = asyncio.ensure_future(bus.read_registers(1, 3, 100, 2))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await bus.read_registers(1, 3, 200, 2) == counting(200, 2)


async def test_nobody_listening_names_the_place_and_a_command(bus_to: Any, listening: Listening) -> None:
    bus = ModbusBus(Bus(id="b", protocol="modbus-tcp", host="127.0.0.1", port=1), {})
    with pytest.raises(LinkDown, match=r"127\.0\.0\.1:1") as caught:
        await bus.read_registers(1, 3, 0, 1)
    assert "nc -vz 127.0.0.1 1" in caught.value.hint


@pytest.mark.parametrize(
    ("unit", "function", "address", "count"), [(1, 6, 0, 1), (256, 3, 0, 1), (1, 3, 0, 126), (1, 3, 65535, 2)]
)
async def test_what_modbus_cannot_ask_is_refused_before_it_is_sent(
    unit: int, function: int, address: int, count: int
) -> None:
    bus = ModbusBus(Bus(id="b", protocol="modbus-tcp", host="127.0.0.1", port=1), {})
    with pytest.raises(ConfigError):
        await bus.read_registers(unit, function, address, count)


async def test_the_registry_opens_the_bus_of_a_protocol_and_refuses_a_profile_of_another() -> None:
    table = Bus(id="b", protocol="modbus-rtu-tcp", host="127.0.0.1", port=1)
    assert isinstance(open_bus(table, {}), ModbusBus)
    wrong = Bus(id="b", protocol="iec104", host="127.0.0.1", port=1)
    with pytest.raises(ConfigError, match="speaks iec104"):
        open_bus(wrong, {"eastron-sdm630": load_profile("eastron-sdm630")})
