"""An interrogation under way: what was asked of a common address, and what has come back so far.

c104's `wait_for_response` misses answers, so they are recognised here, on the ASDUs, with our own deadline.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from drivers.bus import Answer
from drivers.iec104_asdu import ACT_CON, ACT_TERM, COUNTER_CAUSES, UNKNOWN, Asdu
from engine.errors import LinkDown, NoReply, Refused


@dataclass(slots=True)
class Inquiry:
    """One command to one common address; several meters may wait for it. `type` and `qualifier` as sent."""

    ca: int
    type: int
    qualifier: int
    asked: set[str] = field(default_factory=set)  # meters that ever waited for it
    waiting: int = 0
    confirmed: bool = False
    ended: bool = False
    lost: str = ""
    refused: int = 0
    heard: dict[str, set[int]] = field(default_factory=dict)  # counters per meter
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, asdu: Asdu, answers: list[Answer]) -> None:
        """Enter a received ASDU and the Answers it gave."""
        if asdu.ca != self.ca:
            return
        if asdu.type == self.type and asdu.qualifier == self.qualifier:
            self._confirmation(asdu)
        elif asdu.kind == "counter" and (self.confirmed or asdu.cause in COUNTER_CAUSES):
            for answer in answers:
                columns = {column for column, raw in enumerate(answer.columns) if raw is not None}
                self.heard.setdefault(answer.meter, set()).update(columns)
        self.changed.set()

    def _confirmation(self, asdu: Asdu) -> None:
        if asdu.cause in UNKNOWN or (asdu.negative and asdu.cause in (ACT_CON, ACT_TERM)):
            self.refused = asdu.cause
        elif asdu.cause == ACT_CON:
            self.confirmed = True
        elif asdu.cause == ACT_TERM:
            self.ended = self.confirmed  # before our confirmation it ends an earlier command

    def joinable(self, ca: int, type_: int, qualifier: int, asker: str) -> bool:
        """Whether `asker` may wait for this one too: it is the same command, and new to the asker."""
        same = (self.ca, self.type, self.qualifier) == (ca, type_, qualifier)
        return same and asker not in self.asked and not (self.ended or self.lost or self.refused)

    def lose(self, reason: str) -> None:
        """The link went down."""
        self.lost = reason
        self.changed.set()

    def settled(self, counters: frozenset[int], meter: str) -> bool:
        """Whether nothing more needs to be waited for."""
        heard = bool(counters) and counters <= self.heard.get(meter, set())
        return bool(self.lost or self.refused or self.ended or heard)

    async def wait(self, counters: frozenset[int], meter: str, timeout_s: float) -> None:
        """Until settled for these counters of the meter, at most `timeout_s`."""
        self.asked.add(meter)
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while not self.settled(counters, meter):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return  # verdict() says what is missing
        finally:
            self.waiting -= 1

    def verdict(self, counters: frozenset[int], meter: str, timeout_s: float) -> None:
        """Raises LinkDown, Refused or NoReply where the inquiry did not bring what it should."""
        if self.lost:
            raise LinkDown(self.lost)
        if self.refused:
            why = f"{UNKNOWN[self.refused]} unknown" if self.refused in UNKNOWN else "negative confirmation"
            raise Refused(
                f"common address {self.ca} refuses interrogation type {self.type}: {why}",
                code=self.refused,
                hint="compare address (common address) in site.toml with the station's point table",
            )
        if not self.confirmed and not self.heard.get(meter):
            what = f"common address {self.ca} did not answer interrogation type {self.type}"
            raise NoReply(f"{what} within {timeout_s:g} s")
        if counters and not self.heard.get(meter):
            raise NoReply(
                f"common address {self.ca} confirmed the interrogation but sent no counter of {meter}",
                hint="compare ioa_base in site.toml and the profile's ioa with the station's point table",
            )

