"""Wire faults: a right answer turned into what a faulty meter sends. Pure: no socket, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulators.faults import Fault
from simulators.framing import Request, frame
from simulators.load_shape import mix


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to write `delay_ms` after the request."""

    delay_ms: int
    data: bytes


@dataclass(slots=True)
class Spoiler:
    """Turns a right answer into what a meter with wire faults sends. One per meter and connection."""

    seed: int
    answers: int = 0
    previous: bytes = b""

    def sends(self, request: Request, pdu: bytes, active: dict[str, Fault]) -> list[Send]:
        """The writes for one answer, in order; none = silence."""
        self.answers += 1
        if "silent" in active:
            return []
        unit, pdu, request = self._content(request, pdu, active)
        data = frame(request, unit, pdu)
        if "noise" in active:
            data = self._noise(data, on_rtu=request.transaction is None)
        previous, self.previous = self.previous, data
        if "merged" in active:
            data = previous + data
        delay = active["late"].value if "late" in active else 0
        if "split" in active and len(data) > 3:
            third = len(data) // 3
            pieces = (data[:third], data[third : 2 * third], data[2 * third :])
            return [Send(delay + 20 * n, piece) for n, piece in enumerate(pieces)]
        return [Send(delay, data)]

    def _content(self, request: Request, pdu: bytes, active: dict[str, Fault]) -> tuple[int, bytes, Request]:
        """Unit, PDU and request header as the faults want them."""
        unit = request.unit
        for kind, spoil in _CONTENT.items():
            if kind in active:
                pdu = spoil(pdu, active[kind])
        if "unit" in active:
            unit = unit % 247 + 1
        if "transaction" in active and request.transaction is not None:
            request = Request(request.unit, request.pdu, (request.transaction + 1) & 0xFFFF)
        return unit, pdu, request

    def _noise(self, data: bytes, *, on_rtu: bool) -> bytes:
        """Flip 1..16 neighbouring bits; on TCP in bytes 2..3, the protocol id, which no check sum guards."""
        chance = mix(self.seed, self.answers)
        burst = (chance & 0xFFFF) | 1
        at = 2 if not on_rtu else (chance >> 16) % (len(data) - 1)
        flipped = int.from_bytes(data[at : at + 2], "big") ^ burst
        return data[:at] + flipped.to_bytes(2, "big") + data[at + 2 :]


def _exception(pdu: bytes, fault: Fault) -> bytes:
    return bytes((pdu[0] | 0x80, fault.value & 0xFF))


def _short(pdu: bytes, _: Fault) -> bytes:
    return pdu if pdu[0] & 0x80 or pdu[1] < 2 else bytes((pdu[0], pdu[1] - 2)) + pdu[2:-2]


def _count(pdu: bytes, _: Fault) -> bytes:
    return pdu if pdu[0] & 0x80 else bytes((pdu[0], (pdu[1] + 2) & 0xFF)) + pdu[2:]


def _function(pdu: bytes, _: Fault) -> bytes:
    return bytes((pdu[0] ^ 0x07,)) + pdu[1:]


_CONTENT: dict[str, Callable[[bytes, Fault], bytes]] = {
    "exception": _exception,
    "length": _short,
    "count": _count,
    "function": _function,
}
