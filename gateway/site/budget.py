"""The time a bus has and the time its meters need. Pure.

Modbus asks one meter after the other, so a bus is kept when Σ (time of a meter's read plan ÷ its interval) ≤ 1.
On a line whose speed is known the time is that of its characters; on a network it is an estimate per request.
IEC 104 is not asked in turn and has no budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.plan import ReadPlan, paying_gap, plan, rtu_ms, tcp_ms
from drivers.profile import MAX_REGISTERS, MeterProfile
from gateway.site.plant import DAY_MS, Bus
from gateway.site.settings import Settings

TIGHT = 0.8
# The intervals that people write; all divide a day.
STEPS_MS = (
    100, 200, 250, 500, 1000, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 12_000, 15_000, 20_000, 30_000, 40_000,
    60_000, 90_000, 120_000, 180_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, DAY_MS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """What one poll of a meter asks for. `ms` is 0 where nothing is asked in turn (IEC 104)."""

    meter: str
    bus: str
    profile: str
    quantities: int
    blocks: tuple[tuple[int, int, int], ...]  # function, address, registers
    ms: float
    interval_ms: int

    @property
    def registers(self) -> int:
        return sum(count for _, _, count in self.blocks)


@dataclass(frozen=True, slots=True)
class BusLoad:
    """How full a bus is. `round_ms`: all its meters once. `utilisation` 1.0 = no time left."""

    bus: str
    protocol: str
    meters: int
    round_ms: float
    utilisation: float
    estimated: bool  # by requests, not by the characters of a line

    @property
    def fits_ms(self) -> int:
        """The shortest interval that the bus keeps when all its meters have it."""
        return next((step for step in STEPS_MS if step >= self.round_ms), math.ceil(self.round_ms))


def read_plan(profile: MeterProfile, bus: Bus) -> ReadPlan:
    """The blocks that the driver will read on this bus."""
    serial = bus.protocol == "modbus-rtu"
    return plan(profile, gap_max=paying_gap(bus.baud, bus.parity, bus.stop_bits) if serial else MAX_REGISTERS)


def meter_plans(settings: Settings, profiles: Mapping[str, MeterProfile]) -> list[MeterPlan]:
    """The plan of every meter whose profile is known, in the order of the file."""
    plans = []
    for meter in settings.meter:
        profile, bus = profiles.get(meter.profile), settings.buses[settings.bus_of(meter)]
        if profile is None or not profile.speaks(bus.protocol):
            continue
        rows = profile.selected()
        blocks: tuple[tuple[int, int, int], ...] = ()
        ms = 0.0
        if not profile.iec104:
            asked = read_plan(profile, bus)
            blocks = tuple((b.function, b.address, b.count) for b in asked.blocks)
            ms = rtu_ms(asked, bus.baud, bus.parity, bus.stop_bits) if bus.serial_line else tcp_ms(asked)
        quantities = sum(not row.is_scale for row in rows)
        plans.append(MeterPlan(meter.id, bus.id, profile.id, quantities, blocks, ms, meter.interval))
    return plans


def bus_loads(settings: Settings, plans: Sequence[MeterPlan]) -> list[BusLoad]:
    """The load of every bus, in the order of the file; the wires of single meters follow."""
    loads = []
    for id_, bus in settings.buses.items():
        mine = [p for p in plans if p.bus == id_]
        share = sum(p.ms / p.interval_ms for p in mine)
        round_ms = sum(p.ms for p in mine)
        loads.append(BusLoad(id_, bus.protocol, len(mine), round_ms, share, not bus.serial_line))
    return loads
