"""One Modbus line: asks one request at a time, gives the register bytes of an accepted answer or raises.

After a time-out or a wrong answer TCP connects anew. On RTU framing the line is drained until it is quiet,
and a request that a late answer could be taken for waits until a probe of another shape is answered (late.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from functools import partial

from drivers.bus import BusSettings
from drivers.guard import Request, State, Verdict, check_rtu, check_tcp
from drivers.late import LateAnswers
from drivers.modbus_link import Connection, place
from drivers.plan import silence_ms
from engine.errors import BadFrame, DriverError, NoReply, Refused

_PROBES_MAX = 3
_FRAMES_MAX = 1024
_SILENT_HINT = "check power, address and wiring; on RS-485 also baud rate, parity and the A/B pair"
_CODES = {
    1: "function not supported", 2: "no such register", 3: "value not allowed", 4: "device failure",
    5: "acknowledged, busy with it", 6: "busy", 8: "memory parity error",
}  # fmt: skip
_GATEWAY_CODES = {10: "the gateway has no path to it", 11: "it does not answer the gateway"}


class Line:
    """The line of `bus`. `discarded` counts what came and was no answer, by fault."""

    def __init__(self, bus: BusSettings) -> None:
        self.discarded: Counter[str] = Counter()
        self._bus = bus
        self._tcp = bus.protocol == "modbus-tcp"
        serial = bus.protocol == "modbus-rtu"
        self._pause_ns = int(silence_ms(bus.baud, bus.parity, bus.stop_bits) * 1e6) if serial else 0
        self._late: dict[int, LateAnswers] = defaultdict(LateAnswers)
        self._frames: dict[Request, bytes] = {}
        self._connection: Connection | None = None
        self._transaction = 0
        self._noisy = False  # bytes may still be on their way

    async def ask(self, request: Request) -> tuple[bytes, int]:
        """Register bytes and arrival (time.monotonic_ns). Raises LinkDown, NoReply, BadFrame, Refused."""
        connection = await self._connected()
        if self._tcp:
            return await self._exchange(connection, request)
        late = self._late[request.unit]
        if late.ambiguous(request):
            await _sleep_until(late.given_up_ns + self._bus.timeout * 1_000_000)
        if self._noisy or connection.stray:
            await connection.drain()
            self._noisy = False
        for _ in range(_PROBES_MAX):
            if not late.ambiguous(request):
                return await self._exchange(connection, request)
            await self._probe(connection, late.probe(request))
        raise NoReply(f"{self._unit(request)}: late answers may still come", hint=_SILENT_HINT)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None and (connection.lost or (self._tcp and connection.stray)):
            self.close()
            connection = None
        if connection is None:
            connection = Connection(self._bus)
            await connection.open()
            self._connection = connection
        return connection

    async def _probe(self, connection: Connection, probe: Request) -> None:
        try:
            await self._exchange(connection, probe)
        except Refused:
            return  # an exception shows as well that earlier requests are past

    async def _exchange(self, connection: Connection, request: Request) -> tuple[bytes, int]:
        frame = self._frames.get(request)
        if frame is None:
            if len(self._frames) >= _FRAMES_MAX:
                self._frames.clear()
            frame = self._frames[request] = connection.frame(request)
        if self._tcp:
            self._transaction = self._transaction % 0xFFFF + 1
            frame = self._transaction.to_bytes(2, "big") + frame[2:]
            check = partial(check_tcp, request, self._transaction)
        else:
            check = partial(check_rtu, request)
            await _sleep_until(connection.last_ns + self._pause_ns)
        verdict: Verdict | None = None
        try:
            verdict = await connection.exchange(frame, check)
        finally:
            self._settle(request, verdict)
        if verdict.state is State.ACCEPTED:
            return verdict.payload, connection.last_ns
        raise self._error(request, verdict, connection.heard)

    def _settle(self, request: Request, verdict: Verdict | None) -> None:
        """What the outcome means for the next request; None = lost or cancelled on the way."""
        if verdict is not None and verdict.state in (State.ACCEPTED, State.EXCEPTION):
            if not self._tcp:
                self._late[request.unit].answered(request, refused=verdict.state is State.EXCEPTION)
        elif self._tcp:
            self.close()
        else:
            self._noisy = True
            self._late[request.unit].unanswered(request, time.monotonic_ns())

    def _error(self, request: Request, verdict: Verdict, heard: bytes) -> DriverError:
        who = self._unit(request)
        if verdict.state is State.EXCEPTION:
            if verdict.code in _GATEWAY_CODES:
                return NoReply(f"{who}: {_GATEWAY_CODES[verdict.code]}", hint=_SILENT_HINT)
            what = f"registers {request.address}+{request.count}, function {request.function}"
            words = _CODES.get(verdict.code, "unknown exception")
            hint = f"exception {verdict.code}: is this the profile of the meter?"
            return Refused(f"{who} refuses {what}: {words}", code=verdict.code, hint=hint)
        if verdict.state is State.INCOMPLETE and not heard:
            return NoReply(f"{who}: no answer within {self._bus.timeout} ms", hint=_SILENT_HINT)
        fault = verdict.fault or "incomplete"
        self.discarded[fault] += 1
        reason = verdict.reason or f"only {len(heard)} bytes came"
        return BadFrame(
            f"{who}: {reason} (received {heard[:40].hex()})",
            hint="two meters with one address, a second master or a disturbed line? Nothing was taken from it",
        )

    def _unit(self, request: Request) -> str:
        return f"unit {request.unit} at {place(self._bus)}"


async def _sleep_until(mono_ns: int) -> None:
    wait_ns = mono_ns - time.monotonic_ns()
    if wait_ns > 0:
        await asyncio.sleep(wait_ns / 1e9)
