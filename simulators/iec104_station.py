"""A simulated IEC 104 station: meters behind common addresses, with faults on demand. Loopback only.

Hand-written bytes on asyncio: it shares nothing with the gateway's client, so that the two check each other.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from simulators.iec104_frames import C_CI, C_CS, C_IC, M_EI, asdu_head, system_asdu, value_bytes
from simulators.iec104_points import Key, PointBook, PointSource, ShownCount, StationFaults
from simulators.iec104_session import Session, Timing

SPONTANEOUS, INITIALISED, ACT, ACT_CON, ACT_TERM, INTERROGATED, COUNTERS = 3, 4, 6, 7, 10, 20, 37
UNKNOWN_TYPE, UNKNOWN_CAUSE, UNKNOWN_CA = 44, 45, 46
NEGATIVE = 0x40
EVERYBODY = 0xFFFF
HISTORY_MAX = 4096
COMMANDS_MAX = 1024
FREEZE = 1


class Iec104Station:
    """A station over `points`, {(common address, object address): PointSource}.

    `clock_ms` gives UTC ms for time tags. `tagged_counters` chooses M_IT_TB_1. Every `spontaneous_s` all
    measured values are reported unasked, with time tag. What is reported with a time tag while nobody listens
    waits for the next STARTDT. `faults` may be set at any time; `commands` holds the last ASDUs received.
    """

    def __init__(
        self,
        points: Mapping[Key, PointSource],
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        host: str = "127.0.0.1",
        port: int = 0,
        timing: Timing | None = None,
        tagged_counters: bool = False,
        spontaneous_s: float | None = None,
    ) -> None:
        self.faults = StationFaults()
        self.commands: deque[bytes] = deque(maxlen=COMMANDS_MAX)
        self.port = port
        self._book = PointBook(points, clock_ms, self.faults)
        self._host = host
        self._timing = timing or Timing()
        self._tagged_counters = tagged_counters
        self._spontaneous_s = spontaneous_s
        self._sessions: set[Session] = set()
        self._history: deque[bytes] = deque(maxlen=HISTORY_MAX)
        self._server: asyncio.Server | None = None
        self._reporter: asyncio.Task[None] | None = None

    @property
    def shown(self) -> dict[Key, ShownCount]:
        """What was sent of each counter."""
        return self._book.shown

    @property
    def active(self) -> bool:
        """Whether a client has started data transfer."""
        return any(session.active for session in self._sessions)

    async def start(self) -> None:
        """Listen; `port` is then the real one. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, self._host, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        if self._spontaneous_s is not None:
            self._reporter = asyncio.create_task(self._report_always(self._spontaneous_s))

    async def stop(self) -> None:
        """Cut every connection and stop listening. It can be started again, on the same port."""
        if self._reporter is not None:
            self._reporter.cancel()
        if self._server is not None:
            self._server.close()
            self.drop()
            await self._server.wait_closed()

    def drop(self) -> None:
        """Cut every connection; the station goes on listening."""
        for session in self._sessions:
            session.cut()

    def report(
        self,
        keys: Iterable[Key],
        *,
        cause: int = SPONTANEOUS,
        tagged: bool = False,
        tag_ms: int | None = None,
    ) -> None:
        """Report objects now. `tag_ms`: UTC of the time tag (default: now)."""
        tagged = tagged or tag_ms is not None
        for asdu in self._book.asdus(keys, cause, tagged=tagged, tag_ms=tag_ms):
            self.send(asdu, keep=tagged)

    def send(self, asdu: bytes, *, keep: bool = False) -> None:
        """Send ASDU bytes as they are; `keep`: if nobody listens, hold them for the next STARTDT."""
        listening = [session for session in self._sessions if session.active]
        for session in listening:
            session.send(asdu)
        if keep and not listening:
            self._history.append(asdu)

    def send_malformed(self, ca: int, ioa: int) -> None:
        """A float ASDU that announces three objects in sequence and holds one."""
        head = asdu_head(13, 3, SPONTANEOUS, ca, sequence=True)
        self.send(head + ioa.to_bytes(3, "little") + value_bytes("float", 1, 0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hooks = self._command, self._started, lambda: self.faults.silent
        session = Session(reader, writer, self._timing, *hooks)
        self._sessions.add(session)
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)

    def _started(self, session: Session) -> None:
        for ca in self._book.addresses:
            session.send(system_asdu(M_EI, INITIALISED, ca, 0))
        while self._history:
            session.send(self._history.popleft())

    def _command(self, session: Session, asdu: bytes) -> None:
        self.commands.append(asdu)
        ca = int.from_bytes(asdu[4:6], "little")
        for address in self._book.addresses if ca == EVERYBODY else [ca]:
            self._answer(session, asdu[:4] + address.to_bytes(2, "little") + asdu[6:])

    def _answer(self, session: Session, command: bytes) -> None:
        """Confirmation, objects, termination; or a refusal."""
        type_, ca = command[0], int.from_bytes(command[4:6], "little")
        freeze = command[9] >> 6 if type_ == C_CI and len(command) > 9 else 0
        if refusal := self._refusal(command, freeze):
            session.send(_mirror(command, refusal | NEGATIVE))
            return
        if self.faults.confirm:
            session.send(_mirror(command, ACT_CON))
        if freeze == FREEZE:
            self._book.freeze(ca)
        elif type_ == C_CI:
            keys = self._book.counters(ca)
            self._send_all(session, self._book.asdus(keys, COUNTERS, tagged=self._tagged_counters))
        elif type_ == C_IC:
            self._send_all(session, self._book.asdus(self._book.measured(ca), INTERROGATED, tagged=False))
        if self.faults.confirm and type_ != C_CS:
            session.send(_mirror(command, ACT_TERM))

    def _refusal(self, command: bytes, freeze: int) -> int:
        """The cause with which a command is refused; 0 if it is taken. Resetting counters is refused."""
        if command[0] not in (C_IC, C_CI, C_CS) or len(command) < 10:
            return UNKNOWN_TYPE
        if int.from_bytes(command[4:6], "little") not in self._book.addresses:
            return UNKNOWN_CA
        if command[2] & 0x3F != ACT:
            return UNKNOWN_CAUSE
        return ACT_CON if freeze > FREEZE else 0

    def _send_all(self, session: Session, asdus: Iterable[bytes]) -> None:
        for asdu in asdus:
            session.send(asdu)

    async def _report_always(self, period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s)
            for ca in self._book.addresses:
                self.report(self._book.measured(ca), tagged=True)


def _mirror(command: bytes, cause: int) -> bytes:
    """The command back with another cause."""
    return command[:2] + bytes((cause,)) + command[3:]
