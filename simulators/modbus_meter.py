"""Simulated meters on real wires: Modbus TCP, RTU over TCP, and RTU on a pseudo-terminal.

A small slave of its own: faults need every byte in hand, and a hundred meters must cost next to nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
import tty
from collections.abc import Mapping
from typing import Literal

from simulators.framing import NO_TARGET, Request, frame, take_mbap, take_rtu
from simulators.plant import ClockMs
from simulators.sim_meter import SimMeter
from simulators.spoiler import Send, Spoiler

Framing = Literal["mbap", "rtu"]
QUIET_S = 0.05  # RTU: bytes older than this do not belong to the frame that begins now
BITS_PER_BYTE = 11  # start, eight, parity or second stop, stop
TURNAROUND_MS = 5  # what a meter takes to answer


class Line:
    """The meters on one line by unit id, and what they send for a request."""

    def __init__(self, units: Mapping[int, SimMeter], clock: ClockMs) -> None:
        self._units = units
        self._clock = clock
        self._spoilers = {unit: Spoiler(seed=unit) for unit in units}

    def respond(self, request: Request) -> list[Send]:
        """The writes that answer a request. For a strange unit id: exception 11 on TCP, nothing on RTU."""
        meter = self._units.get(request.unit)
        if meter is None:
            pdu = bytes((request.pdu[0] | 0x80, NO_TARGET))
            return [Send(0, frame(request, request.unit, pdu))] if request.transaction is not None else []
        t_ms = self._clock()
        meter.advance(t_ms)
        active = meter.faults.active(t_ms)
        if "silent" in active:
            return []
        return self._spoilers[request.unit].sends(request, meter.answer(request.pdu, t_ms), active)


class _Connection(asyncio.Protocol):
    """One master on a TCP line."""

    def __init__(self, line: Line, framing: Framing, open_: set[asyncio.Transport]) -> None:
        self._line = line
        self._take = take_mbap if framing == "mbap" else take_rtu
        self._open = open_
        self._buffer = bytearray()
        self._heard_s = 0.0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        now_s = self._loop.time()
        if self._take is take_rtu and now_s - self._heard_s > QUIET_S:
            self._buffer.clear()
        self._heard_s = now_s
        self._buffer += data
        for request in self._take(self._buffer):
            for send in self._line.respond(request):
                if send.delay_ms:
                    self._loop.call_later(send.delay_ms / 1000, self._write, send.data)
                else:
                    self._write(send.data)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


class TcpLine:
    """A listening socket in front of a line. `port` is known once started."""

    def __init__(self, line: Line, framing: Framing, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self._line = line
        self._framing = framing
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._line, self._framing, self._open), self.host, self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut the masters off."""
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                transport.abort()
            await self._server.wait_closed()
            self._server = None


def line_ms(size: int, baud: int | None) -> float:
    """Milliseconds that `size` bytes and the turnaround between them take; none where no baud is to be kept."""
    return TURNAROUND_MS + size * BITS_PER_BYTE * 1000 / baud if baud else 0


class PtyLine:
    """RTU on a pseudo-terminal; `path` is the device that a master opens, known once started.

    With `baud` an answer comes as late as the bytes of request and answer take on a real line.
    """

    def __init__(self, line: Line, *, baud: int | None = None) -> None:
        self.path = ""
        self._line = line
        self._baud = baud
        self._buffer = bytearray()
        self._heard_s = 0.0
        self._master = -1
        self._slave = -1

    async def start(self) -> None:
        # The slave side stays open here, or reading would fail whenever no master has it open.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    async def close(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard_s > QUIET_S:
            self._buffer.clear()
        self._heard_s = loop.time()
        self._buffer += os.read(self._master, 4096)
        # A master's exclusive mark would outlive it, since our own side keeps the terminal open.
        fcntl.ioctl(self._slave, termios.TIOCNXCL)
        for request in take_rtu(self._buffer):
            for send in self._line.respond(request):
                delay_ms = send.delay_ms + line_ms(len(request.pdu) + 3 + len(send.data), self._baud)
                loop.call_later(delay_ms / 1000, self._write, send.data)

    def _write(self, data: bytes) -> None:
        if self._master < 0:
            return
        try:
            os.write(self._master, data)
        except BlockingIOError:
            # Nobody reads: a serial line without flow control loses bytes then, and so does this one.
            return
