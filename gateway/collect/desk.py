"""What is done for people between two polls: `read` and `regs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.bus import PolledBus
from engine.errors import GatewayError
from engine.reading import quality_names
from gateway.collect.listener import Listener
from gateway.collect.points import Metered
from gateway.collect.poller import Poller


class Desk:
    """Serves requests of the inbox: `{"command": "read", "meter"}`,
    `{"command": "regs", "meter", "function", "address", "count"}`."""

    def __init__(self, meters: Mapping[str, Metered], workers: Mapping[str, Poller | Listener]) -> None:
        self._meters, self._workers = meters, workers

    async def serve(self, request: dict[str, Any]) -> Any:
        """Raises GatewayError; what the bus raises goes back to the asker too."""
        metered = self._meters.get(str(request.get("meter")))
        if metered is None:
            raise GatewayError(f"no meter {request.get('meter')!r}", hint="wattledger status lists them")
        worker = self._workers.get(metered.bus)
        if not isinstance(worker, Poller):
            raise GatewayError(
                f"{metered.meter.id} cannot be asked now: its bus speaks by itself or is not open",
                hint="wattledger status shows its last values",
            )
        return await worker.borrow(lambda bus: answer(bus, metered, request))


async def answer(bus: PolledBus, metered: Metered, request: dict[str, Any]) -> dict[str, Any]:
    """Do one request on an open bus."""
    command = request.get("command")
    if command == "read":
        found = await bus.poll(metered.point)
        return {
            "meter": found.meter,
            "values": metered.converter.values(found.columns),
            "quality": quality_names(found.flags),
        }
    if command == "regs":
        function, address, count = (_number(request, key) for key in ("function", "address", "count"))
        payload = await bus.read_registers(metered.meter.address, function, address, count)
        return {"hex": payload.hex()}
    raise GatewayError(f"unknown command {command!r}")


def _number(request: dict[str, Any], key: str) -> int:
    value = request.get(key)
    if not isinstance(value, int):
        raise GatewayError(f"{key} must be a whole number, not {value!r}")
    return value
