"""Ask a bus for a person: through `collect` when it owns the bus, else directly under the bus lock."""

from __future__ import annotations

import asyncio
from typing import Any

from drivers.modbus import ModbusBus
from drivers.registry import open_bus
from engine.errors import ConfigError, GatewayError, LinkDown
from gateway.buslock import BusLock
from gateway.collect.desk import answer
from gateway.collect.points import metered
from gateway.inbox import ask
from gateway.site.settings import Settings


def ask_bus(settings: Settings, request: dict[str, Any]) -> Any:
    """The answer to a request of `collect.desk`. Raises ConfigError, NotRunning, DriverError."""
    name = request["meter"]
    meter = settings.meters.get(name)
    if meter is None:
        raise ConfigError(f'no meter "{name}" in this site', hint="wattledger config show lists them")
    lock = BusLock(settings.store.runtime_dir, settings.bus_of(meter))
    try:
        lock.take("command line")
    except LinkDown as error:
        owner = lock.owner()
        if owner is None or owner.name != "collect":
            raise GatewayError(str(error), hint=error.hint) from error
        return ask(settings.store.path, settings.store.runtime_dir, request)
    try:
        return asyncio.run(_directly(settings, name, request))
    finally:
        lock.release()


async def _directly(settings: Settings, name: str, request: dict[str, Any]) -> Any:
    one = metered(settings)[name]
    bus = open_bus(settings.buses[one.bus], {one.profile.id: one.profile})
    if not isinstance(bus, ModbusBus):
        raise GatewayError(
            f"{name} is on a bus that speaks by itself and cannot be asked",
            hint="run the gateway and look at: wattledger status",
        )
    try:
        return await answer(bus, one, request)
    finally:
        await bus.close()
