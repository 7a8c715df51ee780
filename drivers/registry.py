"""Which driver serves which protocol: an explicit table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from drivers.bus import BusSettings, ListeningBus, PolledBus
from drivers.modbus import ModbusBus
from drivers.profile import MeterProfile
from engine.errors import ConfigError

Profiles = Mapping[str, MeterProfile]
WallMs = Callable[[int], int]


def _system_ms(mono_ns: int) -> int:
    return (time.time_ns() - time.monotonic_ns() + mono_ns) // 1_000_000


def _modbus(bus: BusSettings, profiles: Profiles, wall_ms: WallMs) -> PolledBus:
    return ModbusBus(bus, profiles)


def _iec104(bus: BusSettings, profiles: Profiles, wall_ms: WallMs) -> ListeningBus:
    from drivers.iec104 import Iec104Bus  # a Modbus site needs no c104

    return Iec104Bus(bus.id, bus.host, bus.tcp_port, profiles, wall_ms=wall_ms, timeout_ms=bus.timeout)


BUSES: dict[str, Callable[[BusSettings, Profiles, WallMs], PolledBus | ListeningBus]] = {
    "modbus-tcp": _modbus,
    "modbus-rtu": _modbus,
    "modbus-rtu-tcp": _modbus,
    "iec104": _iec104,
}


def open_bus(
    bus: BusSettings, profiles: Profiles, *, wall_ms: WallMs = _system_ms
) -> PolledBus | ListeningBus:
    """The bus for a `[[bus]]` table; nothing is connected yet. `profiles`: those of its meters, by id.

    `wall_ms` turns a monotonic instant [ns] into UTC ms (meters that tag time themselves are judged by it).
    Raises ConfigError for a protocol without a driver, or a profile of another kind.
    """
    if bus.protocol not in BUSES:
        known = "known: " + ", ".join(BUSES)
        raise ConfigError(f'bus "{bus.id}": no driver for protocol "{bus.protocol}"', hint=known)
    for profile in profiles.values():
        if not profile.speaks(bus.protocol):
            raise ConfigError(f'bus "{bus.id}" speaks {bus.protocol}, profile {profile.id} does not')
    return BUSES[bus.protocol](bus, profiles, wall_ms)
