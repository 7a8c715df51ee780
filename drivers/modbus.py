"""ModbusBus: polls meters over Modbus TCP, RTU and RTU-over-TCP. One connection, one request in flight."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from drivers.block import BlockDecoder
from drivers.bus import Answer, BusSettings, MeterPoint
from drivers.guard import Request
from drivers.modbus_line import Line
from drivers.plan import Block, ReadPlan, paying_gap, plan
from drivers.profile import MAX_REGISTERS, MeterProfile
from engine.errors import ConfigError, DriverError, LinkDown, NoReply, Refused
from engine.reading import Quality

_UNREADABLE = (2, 3)  # exception codes of a meter that does not let a register be read


class ModbusBus:
    """A PolledBus. `profiles`: by id, those of its meters. `discarded`: wrong answers by fault."""

    connections = 1

    def __init__(self, bus: BusSettings, profiles: Mapping[str, MeterProfile]) -> None:
        self.id = bus.id
        self._profiles = profiles
        self._line = Line(bus)
        serial = bus.protocol == "modbus-rtu"
        self._gap_max = paying_gap(bus.baud, bus.parity, bus.stop_bits) if serial else MAX_REGISTERS
        self._polls: dict[str, _Poll] = {}
        self._one = asyncio.Lock()

    @property
    def discarded(self) -> Counter[str]:
        return self._line.discarded

    async def poll(self, point: MeterPoint) -> Answer:
        """Read every block of the meter's plan (see PolledBus).

        A block that was refused for registers that the profile does not promise is read in parts later.
        """
        async with self._one:
            poll = self._polls.get(point.id) or self._prepare(point, strict=False)
            try:
                return await self._read(point, poll)
            except Refused as error:
                if poll.strict or poll.steps[0].block.safe or error.code not in _UNREADABLE:
                    raise
            return await self._read(point, self._prepare(point, strict=True))

    async def read_registers(self, unit: int, function: int, address: int, count: int) -> bytes:
        """Register bytes as sent. Raises DriverError, or ConfigError for what Modbus cannot ask."""
        if function not in (3, 4) or not 0 <= unit <= 255:
            raise ConfigError(f"function {function}, unit {unit}: function is 3 or 4, unit 0 to 255")
        if not 1 <= count <= MAX_REGISTERS or not 0 <= address <= 65536 - count:
            raise ConfigError(f"registers {address}+{count}: 1 to {MAX_REGISTERS} of 0 to 65535 can be read")
        async with self._one:
            payload, _ = await self._line.ask(Request(unit, function, address, count))
            return payload

    async def close(self) -> None:
        self._line.close()

    def _prepare(self, point: MeterPoint, *, strict: bool) -> _Poll:
        profile = self._profiles[point.profile]
        blocks = plan(profile, gap_max=self._gap_max, strict=strict)
        if blocks.width != len(point.layout.columns):
            raise ConfigError(f"{point.id}: its layout is not that of profile {point.profile}")
        poll = self._polls[point.id] = _Poll(point.address, blocks, strict)
        return poll

    async def _read(self, point: MeterPoint, poll: _Poll) -> Answer:
        first, *others = poll.steps
        payload, mono_ns = await self._line.ask(first.request)
        columns: list[int | None] = [None] * poll.width
        columns[first.places] = first.decoder.columns(payload)
        flags = 0
        for step in others:
            try:
                payload, _ = await self._line.ask(step.request)
            except Refused as error:
                if poll.strict and step.block.optional:
                    poll.steps.remove(step)
                    continue
                flags = int(Quality.PARTIAL)
                if not poll.strict and not step.block.safe and error.code in _UNREADABLE:
                    self._prepare(point, strict=True)
            except (NoReply, LinkDown):
                flags = int(Quality.PARTIAL)
                break  # the rest would cost a time-out each
            except DriverError:
                flags = int(Quality.PARTIAL)
            else:
                columns[step.places] = step.decoder.columns(payload)
        return Answer(point.id, mono_ns, tuple(columns), flags)


class _Step:
    """One request of a poll, ready to be sent and decoded."""

    __slots__ = ("block", "decoder", "places", "request")

    def __init__(self, unit: int, block: Block) -> None:
        self.block = block
        self.request = Request(unit, block.function, block.address, block.count)
        self.places = slice(block.columns[0], block.columns[-1] + 1)
        self.decoder = BlockDecoder(block.count, block.fields)


class _Poll:
    """The requests of one meter; the first carries its energy counters."""

    __slots__ = ("steps", "strict", "width")

    def __init__(self, unit: int, blocks: ReadPlan, strict: bool) -> None:
        self.steps = [_Step(unit, block) for block in blocks.blocks]
        self.strict = strict
        self.width = blocks.width
