"""A meter's wire, scripted: a peer that answers with bytes that a test wrote down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest

from drivers.bus import MeterPoint
from drivers.modbus import ModbusBus
from drivers.profile import MeterProfile, layout_for
from gateway.site.settings import Bus

# What to send for a request: pieces of (delay in seconds, bytes). Nothing = silence.
Script = Callable[[bytes], list[tuple[float, bytes]]]


class Frames:
    """Hand-made Modbus bytes, apart from drivers.guard."""

    @staticmethod
    def crc(data: bytes) -> bytes:
        crc = 0xFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        return bytes((crc & 0xFF, crc >> 8))

    @classmethod
    def rtu(cls, *body: int | bytes) -> bytes:
        data = b"".join(bytes((part,)) if isinstance(part, int) else part for part in body)
        return data + cls.crc(data)

    @staticmethod
    def tcp(transaction: bytes, *body: int | bytes) -> bytes:
        data = b"".join(bytes((part,)) if isinstance(part, int) else part for part in body)
        return transaction + b"\0\0" + len(data).to_bytes(2, "big") + data

    @classmethod
    def answer(cls, request: bytes, registers: Callable[[int, int], bytes]) -> bytes:
        """The right answer to a request of either framing; `registers(address, count)` gives the data."""
        pdu = request[:6] if len(request) == 8 else request[6:]
        data = registers(int.from_bytes(pdu[2:4], "big"), int.from_bytes(pdu[4:6], "big"))
        body = (pdu[:2], len(data), data)
        return cls.rtu(*body) if len(request) == 8 else cls.tcp(request[:2], *body)


class Peer:
    """Speaks what `script` says. `requests` are the frames that came, `connections` how often somebody connected."""

    def __init__(self, size: int) -> None:
        self.size = size  # of a request: 12 on TCP, 8 on RTU framing
        self.requests: list[bytes] = []
        self.connections = 0
        self.script: Script = lambda request: []
        self.port = 0
        self.device = ""
        self.send: Callable[[bytes], object] = lambda data: None
        self.hang_up: Callable[[], object] = lambda: None
        self.in_order = True  # a meter answers one request after the other
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, buffer: bytearray) -> None:
        while len(buffer) >= self.size:
            request = bytes(buffer[: self.size])
            del buffer[: self.size]
            self.requests.append(request)
            task = asyncio.ensure_future(self._speak(self.script(request), self.send))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _speak(self, pieces: list[tuple[float, bytes]], send: Callable[[bytes], object]) -> None:
        async with self._turn if self.in_order else contextlib.nullcontext():
            for delay, data in pieces:
                await asyncio.sleep(delay)
                send(data)

    async def listen(self) -> asyncio.Server:
        peer = self

        class Wire(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transport = cast(asyncio.Transport, transport)  # that of uvloop is no subclass
                self.buffer = bytearray()
                peer.connections += 1
                peer.send = lambda data: None if transport.is_closing() else transport.write(data)
                peer.hang_up = transport.close

            def data_received(self, data: bytes) -> None:
                self.buffer += data
                peer.heard(self.buffer)

        server = await asyncio.get_running_loop().create_server(Wire, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def attach(self) -> Callable[[], None]:
        """Answer behind a pty; returns what undoes it."""
        master, slave = os.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        self.send = lambda data: os.write(master, data)
        buffer, loop = bytearray(), asyncio.get_running_loop()

        def readable() -> None:
            buffer.extend(os.read(master, 1024))
            self.heard(buffer)

        def detach() -> None:
            loop.remove_reader(master)
            os.close(slave)
            os.close(master)

        loop.add_reader(master, readable)
        return detach

    async def finish(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
def frames() -> type[Frames]:
    return Frames


@pytest.fixture
def peer_type() -> type[Peer]:
    return Peer


@pytest.fixture
async def listening() -> AsyncIterator[Callable[[str], Awaitable[Peer]]]:
    """`await listening(protocol)` → a peer on a free port, or behind a pty (`device`) for modbus-rtu."""
    peers: list[tuple[Peer, Callable[[], None]]] = []

    async def start(protocol: str) -> Peer:
        peer = Peer(12 if protocol == "modbus-tcp" else 8)
        stop = peer.attach() if protocol == "modbus-rtu" else (await peer.listen()).close
        peers.append((peer, stop))
        return peer

    yield start
    for peer, stop in peers:
        await peer.finish()
        peer.hang_up()
        stop()


@pytest.fixture
async def bus_to() -> AsyncIterator[Callable[..., ModbusBus]]:
    """`bus_to(peer, profile, …)` → a ModbusBus on the peer with a time-out of 250 ms."""
    opened: list[ModbusBus] = []

    def connect(peer: Peer, *profiles: MeterProfile, timeout: str = "250ms") -> ModbusBus:
        if peer.device:
            table = Bus(id="line", protocol="modbus-rtu", device=peer.device, baud=115200, timeout=timeout)
        else:
            protocol = "modbus-tcp" if peer.size == 12 else "modbus-rtu-tcp"
            table = Bus(id="line", protocol=protocol, host="127.0.0.1", port=peer.port, timeout=timeout)
        bus = ModbusBus(table, {profile.id: profile for profile in profiles})
        opened.append(bus)
        return bus

    yield connect
    for bus in opened:
        await bus.close()


@pytest.fixture
def point_of() -> Callable[..., MeterPoint]:
    def point(profile: MeterProfile, unit: int = 1) -> MeterPoint:
        return MeterPoint(f"meter-{unit}", unit, profile.id, layout_for(profile), 1000)

    return point
