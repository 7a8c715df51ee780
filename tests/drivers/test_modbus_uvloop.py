"""The same bus on the event loop that production uses."""

from __future__ import annotations

from typing import Any

import pytest
import uvloop

from drivers.modbus import ModbusBus
from engine.errors import NoReply
from gateway.site.settings import Bus


async def scenario(protocol: str, peer: Any, frames: Any) -> None:
    silent = [False, True, False]

    def script(request: bytes) -> list[tuple[float, bytes]]:
        if silent and silent.pop(0):
            return []
        return [(0, frames.answer(request, lambda address, count: address.to_bytes(2, "big") * count))]

    peer.script = script
    stop = peer.attach() if protocol == "modbus-rtu" else (await peer.listen()).close
    where = {"device": peer.device} if peer.device else {"host": "127.0.0.1", "port": peer.port}
    bus = ModbusBus(Bus(id="line", protocol=protocol, timeout="250ms", **where), {})
    try:
        assert await bus.read_registers(1, 3, 7, 3) == b"\0\7" * 3
        with pytest.raises(NoReply):
            await bus.read_registers(1, 3, 8, 3)
        assert await bus.read_registers(1, 3, 9, 3) == b"\0\t" * 3
    finally:
        await bus.close()
        await peer.finish()
        stop()


@pytest.mark.parametrize("protocol", ["modbus-tcp", "modbus-rtu-tcp", "modbus-rtu"])
def test_every_framing_answers_fails_and_recovers_on_uvloop(protocol: str, peer_type: Any, frames: Any) -> None:
    uvloop.run(scenario(protocol, peer_type(12 if protocol == "modbus-tcp" else 8), frames))
