"""The IEC 104 bus: supervises the client process, maps what it received, interrogates with its own deadline.

A station sends by itself; every ASDU becomes sparse Answers at once. General interrogation at connect, at the
station's restart and every 15 minutes; counters when the poller asks. One malformed ASDU kills the client
process: it is started again within two seconds, and the link's state says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Literal

from drivers.bus import Answer, MeterPoint
from drivers.iec104_asdu import COUNTER_INTERROGATION, END_OF_INIT, GENERAL_INTERROGATION, decode
from drivers.iec104_inquiry import Inquiry
from drivers.iec104_map import MeterMap, PointTable
from drivers.iec104_pipe import Command, Kind, Order, Records, Setup
from drivers.profile import MeterProfile
from engine.errors import BadFrame, DriverError, LinkDown

BACKOFF_S = (0.1, 0.5, 1.0, 2.0)
STEADY_S = 30.0  # a process that lived so long starts the back-off anew
STOP_S = 2.0
GENERAL_RETRY_S = 60.0
CHUNK = 65536
_ROOT = str(Path(__file__).resolve().parent.parent)
# Interrogation type and qualifier of each order: QOI station; QCC general with FRZ 0 read, 1 freeze without reset.
_WIRE: dict[Order, tuple[int, int]] = {
    "general": (GENERAL_INTERROGATION, 20),
    "counters": (COUNTER_INTERROGATION, 0x05),
    "freeze": (COUNTER_INTERROGATION, 0x45),
}


class Iec104Bus:
    """A ListeningBus on one TCP connection. `discarded` counts, by reason, objects that were no value.

    `wall_ms` turns a monotonic instant [ns] into UTC ms: time tags are judged by it. `zone` is what the
    station's clock shows. `freeze` holds the counters (without reset) before each reading of them.
    """

    def __init__(
        self,
        id_: str,
        host: str,
        port: int,
        profiles: Mapping[str, MeterProfile],
        *,
        wall_ms: Callable[[int], int],
        timeout_ms: int = 3000,
        general_interval_s: float = 900.0,
        freeze: Literal["read", "freeze"] = "read",
        zone: tzinfo = UTC,
    ) -> None:
        self.id = id_
        self.discarded: Counter[str] = Counter()
        self._setup: Setup = {"host": host, "port": port}
        self._profiles = profiles
        self._wall_ms = wall_ms
        self._timeout_s = timeout_ms / 1000
        self._general_interval_s = general_interval_s
        self._freeze = freeze == "freeze"
        self._zone = zone
        self._table = PointTable((), profiles)
        self._inquiries: list[Inquiry] = []
        self._process: Process | None = None
        self._up = False
        self._reason = "not started"
        self._link_state = ""
        self._deliver: Callable[[Answer], None] = _nowhere
        self._state: Callable[[bool, str], None] = _unheard
        self._due: dict[int, float] = {}  # common address → loop time of its next general interrogation
        self._general_wake = asyncio.Event()

    async def run(
        self,
        points: list[MeterPoint],
        deliver: Callable[[Answer], None],
        state: Callable[[bool, str], None],
    ) -> None:
        """Connect, reconnect and deliver until cancelled. Raises ConfigError where two meters share an object."""
        self._table = PointTable(points, self._profiles)
        self._deliver, self._state = deliver, state
        loop, failures = asyncio.get_running_loop(), 0
        general = asyncio.create_task(self._keep_general())
        try:
            while True:
                since = loop.time()
                self._turn(False, await self._serve())
                failures = 0 if loop.time() - since > STEADY_S else failures
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
        finally:
            general.cancel()
            await self.close()

    async def interrogate(self, point: MeterPoint) -> None:
        """Counter interrogation of one meter. Meters of one common address that ask together share the command.

        Returns when all counters of the meter came, or the station ended the interrogation and some came.
        Raises LinkDown, Refused, NoReply.
        """
        meter = self._table.meters[point.id]
        if self._freeze:
            await self._ask("freeze", point.address, frozenset(), point.id)
        await self._ask("counters", point.address, meter.counters, point.id)

    def answers(self, point: MeterPoint) -> bool:
        """For a map without counters: link active and the point not IV/NT."""
        return self._up and self._table.meters[point.id].topical()

    async def close(self) -> None:
        """End the client process."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
