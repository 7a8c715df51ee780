"""One connection of a simulated IEC 104 station: APCI with its windows k and w, the timers t1 to t3."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from simulators.iec104_frames import (
    SEQUENCES,
    START,
    STARTDT_ACT,
    STARTDT_CON,
    STOPDT_ACT,
    STOPDT_CON,
    TESTFR_ACT,
    TESTFR_CON,
    Frame,
    i_frame,
    parse,
    s_frame,
    u_frame,
)

QUEUE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Timing:
    """k: most I-frames sent without acknowledgement; w: acknowledge after so many received; t1…t3 [s]."""

    k: int = 12
    w: int = 8
    t1_s: float = 15.0
    t2_s: float = 10.0
    t3_s: float = 20.0


class Session:
    """Serves one client. `command` gets each received ASDU, `started` is called at STARTDT."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timing: Timing,
        command: Callable[[Session, bytes], None],
        started: Callable[[Session], None],
        silent: Callable[[], bool],
    ) -> None:
        self._reader, self._writer, self._timing = reader, writer, timing
        self._command, self._started, self._silent = command, started, silent
        self.active = False
        self._queue: deque[bytes] = deque(maxlen=QUEUE_MAX)
        self._sent = self._acknowledged = 0
        self._received = self._confirmed = 0
        loop = asyncio.get_running_loop()
        self._last_received = self._oldest_sent = self._oldest_received = loop.time()
        self._testing_since: float | None = None

    async def serve(self) -> None:
        """Until the client leaves, breaks the protocol or a timer ends it."""
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                head = await self._reader.readexactly(2)
                if head[0] != START or not 4 <= head[1] <= 253:
                    return
                frame = parse(await self._reader.readexactly(head[1]))
                if self._silent():
                    continue
                self._last_received = asyncio.get_running_loop().time()
                if not self._take(frame):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client left
        finally:
            watch.cancel()
            self.cut()

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.active = False
        self._writer.transport.abort()

    def send(self, asdu: bytes) -> None:
        """Queue an ASDU; it goes out as soon as the window k allows."""
        self._queue.append(asdu)
        self._flush()

    def _take(self, frame: Frame) -> bool:
        if frame.control is not None:
            return self._take_control(frame.control)
        outstanding = (self._sent - self._acknowledged) % SEQUENCES
        if (frame.nr - self._acknowledged) % SEQUENCES > outstanding:
            return False
        self._acknowledged = frame.nr
        self._oldest_sent = self._last_received
        if frame.ns is not None:
            if frame.ns != self._received or not self.active:
                return False
            if self._received == self._confirmed:
                self._oldest_received = self._last_received
            self._received = (self._received + 1) % SEQUENCES
            self._command(self, frame.asdu)
            if (self._received - self._confirmed) % SEQUENCES >= self._timing.w:
                self._acknowledge()
        self._flush()
        return True

    def _take_control(self, control: int) -> bool:
        if control == STARTDT_ACT:
            self._write(u_frame(STARTDT_CON))
            self.active = True
            self._started(self)
        elif control == STOPDT_ACT:
            self._acknowledge()
            self.active = False
            self._write(u_frame(STOPDT_CON))
        elif control == TESTFR_ACT:
            self._write(u_frame(TESTFR_CON))
        elif control == TESTFR_CON:
            self._testing_since = None
        else:
            return False
        return True

    def _flush(self) -> None:
        while self.active and self._queue and (self._sent - self._acknowledged) % SEQUENCES < self._timing.k:
            if self._sent == self._acknowledged:
                self._oldest_sent = asyncio.get_running_loop().time()
            self._write(i_frame(self._sent, self._received, self._queue.popleft()))
            self._sent = (self._sent + 1) % SEQUENCES
            self._confirmed = self._received

    def _acknowledge(self) -> None:
        if self._confirmed != self._received:
            self._confirmed = self._received
            self._write(s_frame(self._received))

    def _write(self, apdu: bytes) -> None:
        if not self._silent() and not self._writer.transport.is_closing():
            self._writer.write(apdu)

    async def _watch(self) -> None:
        """The timers, looked at often enough."""
        loop, timing = asyncio.get_running_loop(), self._timing
        while True:
            await asyncio.sleep(min(timing.t2_s, timing.t3_s, timing.t1_s) / 4)
            now = loop.time()
            if self._received != self._confirmed and now - self._oldest_received >= timing.t2_s:
                self._acknowledge()
            unanswered = self._testing_since is not None and now - self._testing_since >= timing.t1_s
            unacknowledged = self._sent != self._acknowledged and now - self._oldest_sent >= timing.t1_s
            if unanswered or unacknowledged:
                self.cut()
            elif self._testing_since is None and now - self._last_received >= timing.t3_s:
                self._testing_since = now
                self._write(u_frame(TESTFR_ACT))
