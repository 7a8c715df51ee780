"""A bare socket server that plays typed APDUs, and a running Iec104Bus that collects what it delivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from drivers.bus import Answer, MeterPoint
from drivers.iec104 import Iec104Bus
from drivers.profile import MeterProfile, layout_for, parse_profile

PATIENCE_S = 15.0
STARTDT_ACT, STARTDT_CON = "68 04 07 00 00 00", "68 04 0B 00 00 00"
PROFILE = """
vendor = "test"
model = "station"
protocols = ["iec104"]
readings = [
  { quantity = "active_power", ioa = 1, type = "float" },
  { quantity = "reactive_power", ioa = 2, type = "float" },
  { quantity = "current_l1", ioa = 3, type = "scaled", scale = "0.1" },
  { quantity = "power_factor", ioa = 4, type = "normalized" },
  { quantity = "active_energy_import", ioa = 100, type = "counter", scale = 100 },
  { quantity = "active_energy_export", ioa = 101, type = "counter", scale = 100 },
]
"""
POWER_ONLY = """
vendor = "test"
model = "transducer"
protocols = ["iec104"]
readings = [ { quantity = "active_power", ioa = 1, type = "float" },
             { quantity = "frequency", ioa = 2, type = "float" } ]
"""


def _without_nr(apdu: str) -> str:
    """An I-frame without its receive sequence number (octets 5 and 6); others as they are."""
    octets = apdu.split()
    return apdu if int(octets[2], 16) & 1 else " ".join(octets[:4] + octets[6:])


class ScriptedStation:
    """Sends and expects APDUs written out in hex; knows nothing of the protocol."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._arrivals: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._arrive, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _arrive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._arrivals.put((reader, writer))

    async def accept(self) -> None:
        self._reader, self._writer = await asyncio.wait_for(self._arrivals.get(), PATIENCE_S)

    async def receive(self) -> str:
        """The next APDU that is no S-frame."""
        assert self._reader is not None
        while True:
            head = await asyncio.wait_for(self._reader.readexactly(2), PATIENCE_S)
            body = await asyncio.wait_for(self._reader.readexactly(head[1]), PATIENCE_S)
            if body[0] & 3 != 1:
                return (head + body).hex(" ").upper()

    async def expect(self, *apdus: str) -> None:
        """These I-frames, whatever they acknowledge: N(R) may run behind on a busy machine."""
        for apdu in apdus:
            assert _without_nr(await self.receive()) == _without_nr(apdu)

    def send(self, *apdus: str) -> None:
        assert self._writer is not None
        for apdu in apdus:
            self._writer.write(bytes.fromhex(apdu))

    async def start(self, *general: str) -> None:
        """Accept, confirm STARTDT, and take the general interrogations that the client opens with."""
        await self.accept()
        await self.expect(STARTDT_ACT)
        self.send(STARTDT_CON)
        await self.expect(*general)

    def cut(self) -> None:
        assert self._writer is not None
        self._writer.transport.abort()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            if self._writer is not None:
                self._writer.transport.abort()
            await self._server.wait_closed()


class Rig:
    """An Iec104Bus at work. `answers` and `states` as delivered, oldest first."""

    def __init__(self, port: int, points: list[MeterPoint], profiles: dict[str, MeterProfile], **options: Any) -> None:
        options = {"wall_ms": lambda ns: (ns + time.time_ns() - time.monotonic_ns()) // 1_000_000, **options}
        self.bus = Iec104Bus("hall-a", options.pop("host", "127.0.0.1"), port, profiles, **options)
        self.answers: list[Answer] = []
        self.states: list[tuple[bool, str]] = []
        self.points = {point.id: point for point in points}
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self.bus.run(points, self._take(self.answers), self._state))

    def _take(self, into: list[Answer]) -> Callable[[Answer], None]:
        def take(answer: Answer) -> None:
            into.append(answer)
            self._changed.set()

        return take

    def _state(self, up: bool, reason: str) -> None:
        self.states.append((up, reason))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def take(self, count: int) -> list[Answer]:
        """The next `count` answers, taken out of `answers`."""
        await self.until(lambda: len(self.answers) >= count)
        taken, self.answers[:count] = self.answers[:count], []
        return taken

    async def up(self) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1][0])

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def station() -> AsyncIterator[ScriptedStation]:
    scripted = ScriptedStation()
    await scripted.listen()
    yield scripted
    await scripted.close()


@pytest.fixture
def profiles() -> dict[str, MeterProfile]:
    return {"station": parse_profile("station", PROFILE), "power": parse_profile("power", POWER_ONLY)}


@pytest.fixture
def meter(profiles: dict[str, MeterProfile]) -> Callable[..., MeterPoint]:
    def build(id_: str = "press-1", address: int = 1, ioa_base: int = 0, profile: str = "station") -> MeterPoint:
        return MeterPoint(id_, address, profile, layout_for(profiles[profile]), 1000, ioa_base)

    return build


@pytest.fixture
async def rig(profiles: dict[str, MeterProfile]) -> AsyncIterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def build(port: int, *points: MeterPoint, **options: Any) -> Rig:
        rigs.append(Rig(port, list(points), profiles, **options))
        return rigs[-1]

    yield build
    await asyncio.gather(*(running.stop() for running in rigs))


@pytest.fixture
def start(
    station: ScriptedStation, rig: Callable[..., Rig], meter: Callable[..., MeterPoint]
) -> Callable[..., Awaitable[Rig]]:
    """One meter at common address 1, link up, general interrogation taken and not answered."""

    async def begin(*points: MeterPoint, **options: Any) -> Rig:
        running = rig(station.port, *(points or (meter(),)), **options)
        await station.start("68 0E 00 00 00 00 64 01 06 00 01 00 00 00 00 14")
        await running.up()
        return running

    return begin
