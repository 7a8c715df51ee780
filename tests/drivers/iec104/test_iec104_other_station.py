"""The bus against a station that is not ours: the server of c104, on lib60870."""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Callable
from typing import Any

from engine.reading import Quality

STATION = """
import sys, c104
server = c104.Server(ip="127.0.0.1", port=int(sys.argv[1]), tick_rate_ms=50)
station = server.add_station(common_address=1)
power = station.add_point(io_address=1, type=c104.Type.M_ME_NC_1)
power.info = c104.ShortInfo(actual=12500.5, quality=c104.Quality.Invalid)
current = station.add_point(io_address=3, type=c104.Type.M_ME_NB_1)
current.info = c104.ScaledInfo(actual=c104.Int16(-321))
factor = station.add_point(io_address=4, type=c104.Type.M_ME_NA_1)
factor.info = c104.NormalizedInfo(actual=c104.NormalizedFloat(0.5))
energy = station.add_point(io_address=100, type=c104.Type.M_IT_NA_1)
carry = c104.BinaryCounterQuality.Carry
energy.info = c104.BinaryCounterInfo(counter=-123456789, sequence=c104.UInt5(7), quality=carry)
server.start()
print("ready", flush=True)
sys.stdin.read()
server.stop()
"""


async def test_a_station_made_by_others_is_understood(
    rig: Callable[..., Any], meter: Callable[..., Any], unused_tcp_port: int
) -> None:
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STATION, str(unused_tcp_port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert other.stdin is not None
    assert other.stdout is not None
    assert await asyncio.wait_for(other.stdout.readline(), 10) == b"ready\n"
    running = rig(unused_tcp_port, meter())
    await running.until(lambda: sum(raw is not None for a in running.answers for raw in a.columns) >= 3)
    await running.bus.interrogate(running.points["press-1"])
    found = {
        column: (raw, answer.flags)
        for answer in running.answers
        for column, raw in enumerate(answer.columns)
        if raw is not None
    }
    power = int.from_bytes(struct.pack("<f", 12500.5), "little")
    assert found == {
        0: (power, int(Quality.INVALID_DEVICE_FAULT)),
        2: (-321, 0),
        3: (0x4000, 0),
        4: (-123456789, int(Quality.COUNTER_ROLLOVER)),
    }
    other.stdin.close()
    await asyncio.wait_for(other.wait(), 10)
