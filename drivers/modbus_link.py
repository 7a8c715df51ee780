"""One Modbus connection: connects, sends a request, lets the guard judge every byte that comes back.

The only file that knows pymodbus. It carries the bytes and builds the requests; its own framing is given
nothing to read, since it accepts answers that are not ours (another count, another function, late ones).
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import termios
import time
from collections.abc import Callable

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerType
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest
from pymodbus.transport.serialtransport import SerialTransport

from drivers.bus import BusSettings
from drivers.guard import INCOMPLETE, Request, State, Verdict
from engine.errors import LinkDown

_REQUESTS = {3: ReadHoldingRegistersRequest, 4: ReadInputRegistersRequest}
_NO_LIMIT = 1 << 30  # pymodbus drops what exceeds its buffer; the guard must see all of it
QUIET_S = 0.05
NEVER_QUIET_S = 2.0


class Connection:
    """A connection to `bus`. `stray` is set when bytes come that nobody asked for, `lost` at its end."""

    def __init__(self, bus: BusSettings) -> None:
        framer = FramerType.SOCKET if bus.protocol == "modbus-tcp" else FramerType.RTU
        self._bus = bus
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient
        if bus.protocol == "modbus-rtu":
            self._client = AsyncModbusSerialClient(
                bus.device, framer=framer, baudrate=bus.baud, parity=bus.parity, stopbits=bus.stop_bits,
                timeout=bus.timeout / 1000, retries=0, reconnect_delay=0,
                trace_packet=self._bytes, trace_connect=self._changed,
            )  # fmt: skip
        else:
            self._client = AsyncModbusTcpClient(
                bus.host, port=bus.tcp_port, framer=framer, timeout=bus.timeout / 1000, retries=0,
                reconnect_delay=0, trace_packet=self._bytes, trace_connect=self._changed,
            )  # fmt: skip
        self._client.ctx.max_buffer_size = _NO_LIMIT
        self._check: Callable[[bytes], Verdict] | None = None
        self._waiting: asyncio.Future[Verdict] | None = None
        self.lost = self.stray = False
        self.last_ns = 0  # arrival of the last bytes, time.monotonic_ns()
        self.heard = b""  # all bytes since the last request

    async def open(self) -> None:
        """Raises LinkDown with the reason and the command that shows it."""
        context = self._client.ctx
        try:
            async with asyncio.timeout(self._bus.timeout / 1000):
                context.transport, _ = await context.call_create()
            if isinstance(context.transport, SerialTransport):
                fcntl.ioctl(context.transport.sync_serial.fileno(), termios.TIOCEXCL)
        except OSError as error:  # TimeoutError and SerialException are OSErrors
            self.close()
            raise _link_down(self._bus, error) from error

    def frame(self, request: Request) -> bytes:
        """The bytes of a request; on TCP with transaction id 0."""
        kind = _REQUESTS[request.function]
        pdu = kind(address=request.address, count=request.count, dev_id=request.unit)
        return bytes(self._client.ctx.framer.buildFrame(pdu))

    async def exchange(self, frame: bytes, check: Callable[[bytes], Verdict]) -> Verdict:
        """Send and wait for the guard's verdict; INCOMPLETE = time-out. Raises LinkDown if the link ends."""
        loop = asyncio.get_running_loop()
        self._check, self._waiting, self.heard = check, loop.create_future(), b""
        timer = loop.call_later(self._bus.timeout / 1000, self._decide, INCOMPLETE)
        try:
            self._client.ctx.send(frame)
            return await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    async def drain(self) -> None:
        """Throw away what comes until the line is quiet. Raises LinkDown when it never is."""
        for _ in range(int(NEVER_QUIET_S / QUIET_S)):
            self.stray = False
            await asyncio.sleep(QUIET_S)
            if not self.stray:
                return
        raise LinkDown(
            f"{place(self._bus)} never falls silent",
            hint="look for a second master on the line, or for a converter that echoes",
        )

    def close(self) -> None:
        self.lost = True
        self._client.ctx.close()

    def _bytes(self, sending: bool, data: bytes) -> bytes:
        """pymodbus shows all bytes since the last request; it gets none of them back to interpret."""
        if sending:
            return data
        self.last_ns = time.monotonic_ns()
        self.heard = data
        if self._waiting is None or self._check is None or self._waiting.done():
            self.stray = True
        elif (verdict := self._check(data)).state is not State.INCOMPLETE:
            self._decide(verdict)
        return b""

    def _decide(self, verdict: Verdict) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(verdict)

    def _changed(self, connected: bool) -> None:
        if connected:
            return
        self.lost = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(
                LinkDown(f"{place(self._bus)} closed the connection", hint=_reach_hint(self._bus))
            )


def place(bus: BusSettings) -> str:
    """Where the bus is, for messages."""
    return bus.device if bus.protocol == "modbus-rtu" else f"{bus.host}:{bus.tcp_port}"


def _reach_hint(bus: BusSettings) -> str:
    if bus.protocol == "modbus-rtu":
        return f"is the adapter plugged in? look: ls -l {bus.device} /dev/rs485-* ; dmesg | tail"
    return f"some devices take one connection only; who else is on it? try: nc -vz {bus.host} {bus.tcp_port}"


def _link_down(bus: BusSettings, error: OSError) -> LinkDown:
    where, code = place(bus), error.errno
    if bus.protocol != "modbus-rtu":
        what = f"no connection within {bus.timeout} ms" if isinstance(error, TimeoutError) else str(error)
        return LinkDown(f"{where}: {what}", hint=f"try: ping {bus.host}; nc -vz {bus.host} {bus.tcp_port}")
    words = {
        errno.ENOENT: ("there is no such device", f"look: ls -l {bus.device} /dev/rs485-* /dev/serial/by-id"),
        errno.EACCES: ("not permitted", f"look whether your groups fit the device: ls -l {bus.device}; id"),
        errno.EAGAIN: ("another process uses it", f"see who: fuser -v {bus.device}"),
        errno.EBUSY: ("another process uses it", f"see who: fuser -v {bus.device}"),
    }
    what, hint = words.get(code or 0, (str(error), _reach_hint(bus)))
    return LinkDown(f"{where}: {what}", hint=hint)
