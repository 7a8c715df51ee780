"""CPU µs per Modbus TCP request: ModbusBus (guarded, decoded) against bare pymodbus. `python tests/bench/modbus.py`.

The server is another process. A poll is the two requests and 24 quantities of an SDM630.
"""

from __future__ import annotations

import asyncio
import multiprocessing as mp
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uvloop
from pymodbus.client import AsyncModbusTcpClient

from drivers.bus import MeterPoint
from drivers.modbus import ModbusBus
from drivers.profile import layout_for
from gateway.site.profiles import load_profile
from gateway.site.settings import Bus

POLLS = 2000


class Meter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out = transport

    def data_received(self, data: bytes) -> None:
        tid, _, _, unit, function, _, count = struct.unpack(">HHHBBHH", data[:12])
        head = struct.pack(">HHHBBB", tid, 0, 3 + 2 * count, unit, function, 2 * count)
        self.out.write(head + bytes.fromhex("43661999") * (count // 2))  # type: ignore[attr-defined]


async def _serve(pipe: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(Meter, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def serve(pipe: Connection) -> None:
    uvloop.run(_serve(pipe))


async def cpu_us(poll: Callable[[], Awaitable[object]], requests: int, pause_s: float) -> float:
    for _ in range(50):
        await poll()
    start = time.process_time()
    for _ in range(POLLS):
        await poll()
        if pause_s:
            await asyncio.sleep(pause_s)
    return (time.process_time() - start) / POLLS / requests * 1e6


async def measure(port: int, pause_s: float) -> tuple[float, float]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, timeout=1)
    await client.connect()

    async def bare() -> None:
        await client.read_input_registers(0, count=80, device_id=1)
        await client.read_input_registers(200, count=6, device_id=1)

    profile = load_profile("eastron-sdm630")
    bus = ModbusBus(Bus(id="bench", protocol="modbus-tcp", host="127.0.0.1", port=port), {profile.id: profile})
    point = MeterPoint("meter", 1, profile.id, layout_for(profile), 1000)
    figures = await cpu_us(bare, 2, pause_s), await cpu_us(lambda: bus.poll(point), 2, pause_s)
    client.close()
    await bus.close()
    return figures


def main() -> None:
    ours, theirs = mp.Pipe()
    server = mp.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    print(f"{'CPU µs per request':28}{'pymodbus':>10}{'ModbusBus':>11}{'ratio':>7}")
    for name, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
        for pace, pause_s in (("back to back", 0.0), ("paced 1 ms", 0.001)):
            bare, bus = run(measure(port, pause_s))
            print(f"{name + ', ' + pace:28}{bare:10.1f}{bus:11.1f}{bus / bare:7.2f}")
    server.terminate()


if __name__ == "__main__":
    main()
