"""The IEC 104 bus: supervises the client process, maps what it received, interrogates with its own deadline.

A station sends by itself; every ASDU becomes sparse Answers at once. General interrogation at connect, at the
station's restart and every 15 minutes; counters when the poller asks. One malformed ASDU kills the client
process: it is started again within two seconds, and the link's state says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import Literal

from drivers.bus import Answer, MeterPoint
from drivers.iec104_asdu import COUNTER_INTERROGATION, END_OF_INIT, GENERAL_INTERROGATION, decode
from drivers.iec104_inquiry import Inquiry
from drivers.iec104_map import PointTable
from drivers.iec104_pipe import Kind, Order, Setup
from drivers.iec104_process import ClientProcess
from drivers.profile import MeterProfile
from engine.errors import BadFrame, DriverError, LinkDown

BACKOFF_S = (0.1, 0.5, 1.0, 2.0)
STEADY_S = 30.0  # a process that lived so long starts the back-off anew
GENERAL_RETRY_S = 60.0
REASONS_MAX = 64
# Interrogation type and qualifier of each order: QOI station; QCC general, read or freeze without reset.
_WIRE: dict[Order, tuple[int, int]] = {
    "general": (GENERAL_INTERROGATION, 20),
    "counters": (COUNTER_INTERROGATION, 0x05),
    "freeze": (COUNTER_INTERROGATION, 0x45),
}


class Iec104Bus:
    """A ListeningBus on one TCP connection. `discarded` counts, by reason, what came and was no value.

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
        self._where = f"{host}:{port}"
        self._setup: Setup = {"host": host, "port": port}
        self._profiles = profiles
        self._wall_ms = wall_ms
        self._timeout_s = timeout_ms / 1000
        self._general_interval_s = general_interval_s
        self._freeze = freeze == "freeze"
        self._zone = zone
        self._table = PointTable((), profiles)
        self._process: ClientProcess | None = None
        self._inquiries: list[Inquiry] = []
        self._generals_due: dict[int, float] = {}  # common address → loop time
        self._generals_changed = asyncio.Event()
        self._up: bool | None = None
        self._reason = "not connected yet"
        self._link = ""  # c104's word for it
        self._deliver: Callable[[Answer], None] | None = None
        self._state: Callable[[bool, str], None] | None = None

    @property
    def client_pid(self) -> int | None:
        """The client process, while there is one."""
        return self._process.pid if self._process else None

    async def run(
        self,
        points: list[MeterPoint],
        deliver: Callable[[Answer], None],
        state: Callable[[bool, str], None],
    ) -> None:
        """Connect, reconnect and deliver until cancelled. ConfigError where two meters claim one object."""
        self._table = PointTable(points, self._profiles)
        self._deliver, self._state = deliver, state
        generals = asyncio.create_task(self._keep_general())
        loop, failures = asyncio.get_running_loop(), 0
        try:
            while True:
                since = loop.time()
                self._process, self._link = ClientProcess(self._setup), ""
                self._turn(False, await self._process.run(self._record))
                failures = 0 if loop.time() - since > STEADY_S else failures
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
        finally:
            generals.cancel()
            await self.close()

    async def interrogate(self, point: MeterPoint) -> None:
        """Counter interrogation of one meter; meters of one common address that ask together share it.

        Returns when all counters of the meter came, or when the station ended the interrogation or the time
        is over and some came. Raises LinkDown, Refused, NoReply.
        """
        if self._freeze:
            await self._ask("freeze", point.address, point.id)
        await self._ask("counters", point.address, point.id)

    def answers(self, point: MeterPoint) -> bool:
        """For a map without counters: link active and the point not IV/NT."""
        return self._up is True and self._table.meters[point.id].topical()

    async def close(self) -> None:
        """End the client process. `run` is to be cancelled first: it would start another."""
        if self._process is not None:
            await self._process.stop()

    def _record(self, kind: Kind, mono_ns: int, payload: bytes) -> None:
        if kind is Kind.ASDU:
            self._take(payload, mono_ns)
        else:
            self._follow(payload.decode())

    def _take(self, payload: bytes, mono_ns: int) -> None:
        try:
            asdu = decode(payload, self._zone)
        except BadFrame as error:
            self._discard(str(error))
            return
        if asdu.type == END_OF_INIT:
            self._call_general([asdu.ca] if asdu.ca in self._generals_due else [])
        answers = self._table.answers(asdu, mono_ns, self._wall_ms(mono_ns), self._discard)
        for answer in answers:
            if self._deliver is not None:
                self._deliver(answer)
        for inquiry in self._inquiries:
            inquiry.take(asdu, answers)

    def _discard(self, why: str) -> None:
        known = why in self.discarded or len(self.discarded) < REASONS_MAX
        self.discarded[why if known else "further reasons"] += 1

    def _follow(self, link: str) -> None:
        """A new state of c104's link: say what it means."""
        before, self._link = self._link, link
        if link == "OPEN":
            self._turn(True, f"connected to {self._where}")
            self._call_general(self._table.addresses)
        elif link.startswith("CLOSED") and before == "OPEN":
            self._turn(False, f"the connection to {self._where} was cut")
        elif link == "CLOSED_AWAIT_RECONNECT" and before == "OPEN_MUTED":
            self._turn(False, f"{self._where} takes the connection but does not confirm STARTDT")
        elif link == "CLOSED_AWAIT_RECONNECT":
            self._turn(False, f"no connection to {self._where}")

    def _turn(self, up: bool, reason: str) -> None:
        if (up, reason) == (self._up, self._reason):
            return
        self._up, self._reason = up, reason
        if not up:
            self._table.forget()
            self._generals_due.clear()
            for inquiry in self._inquiries:
                inquiry.lose(reason)
        if self._state is not None:
            self._state(up, reason)

    async def _ask(self, order: Order, ca: int, asker: str) -> None:
        """Send an order, or join the same one under way, and wait for what the asking meter needs from it."""
        if not self._up or self._process is None:
            host, port = self._setup["host"], self._setup["port"]
            raise LinkDown(self._reason, hint=f"see whether the station listens: nc -zv {host} {port}")
        counters = self._table.meters[asker].counters if order == "counters" else frozenset()
        type_, qualifier = _WIRE[order]
        inquiry = next((i for i in self._inquiries if i.joinable(ca, type_, qualifier, asker)), None)
        if inquiry is None:
            inquiry = Inquiry(ca, type_, qualifier)
            self._inquiries.append(inquiry)
            self._process.send({"command": order, "ca": ca})
        try:
            await inquiry.wait(counters, asker, self._timeout_s)
        finally:
            if not inquiry.waiting:
                self._inquiries.remove(inquiry)
        inquiry.verdict(counters, asker, self._timeout_s)

    def _call_general(self, addresses: list[int]) -> None:
        now = asyncio.get_running_loop().time()
        self._generals_due.update(dict.fromkeys(addresses, now))
        self._generals_changed.set()

    async def _keep_general(self) -> None:
        """General interrogation of each common address when it is due, one after the other."""
        loop = asyncio.get_running_loop()
        while True:
            self._generals_changed.clear()
            for ca in [ca for ca, due in self._generals_due.items() if due <= loop.time()]:
                planned = self._generals_due[ca] = loop.time() + self._general_interval_s
                if not await self._general(ca) and self._generals_due.get(ca) == planned:
                    self._generals_due[ca] = loop.time() + GENERAL_RETRY_S
            wait_s = min(self._generals_due.values(), default=loop.time() + GENERAL_RETRY_S) - loop.time()
            try:
                await asyncio.wait_for(self._generals_changed.wait(), max(wait_s, 0))
            except TimeoutError:
                continue

    async def _general(self, ca: int) -> bool:
        """Whether the station answered."""
        try:
            await self._ask("general", ca, asker="")
        except LinkDown:
            return False  # the state says so, and the next connection asks again
        except DriverError as error:
            self._discard(str(error))
            return False
        return True
