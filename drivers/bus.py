"""The Bus protocol: what the poller sees of any wire.

Two shapes of wire exist. A *polled* bus (Modbus) is asked at every tick. A *listening* bus (IEC 104)
sends by itself and is nudged (interrogated) at every tick. Both deliver `Answer`s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from engine.reading import Layout


@dataclass(frozen=True, slots=True)
class MeterPoint:
    """One meter as the wire sees it: everything from configuration and profile that a Bus needs."""

    id: str
    address: int  # Modbus unit id, IEC 104 common address
    profile: str
    layout: Layout
    interval_ms: int
    ioa_base: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one poll (or one ASDU) brought. `columns` are in the order of the meter's layout, as sent.

    `mono_ns` is the arrival of the answer that carries the energy counters, `time.monotonic_ns()`;
    `tag_ms` the meter's own valid time tag (UTC ms) or None.
    """

    meter: str
    mono_ns: int
    columns: tuple[int | None, ...]
    flags: int = 0
    tag_ms: int | None = None


class BusSettings(Protocol):
    """How to reach a wire: the `[[bus]]` table of site.toml, as this room needs it."""

    @property
    def id(self) -> str: ...
    @property
    def protocol(self) -> str: ...  # modbus-tcp, modbus-rtu, modbus-rtu-tcp, iec104
    @property
    def host(self) -> str: ...
    @property
    def tcp_port(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def baud(self) -> int: ...
    @property
    def parity(self) -> str: ...
    @property
    def stop_bits(self) -> int: ...
    @property
    def timeout(self) -> int: ...  # ms


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first_ms` to `limit_ms` while something is dead; the caller has the clock."""

    first_ms: int = 1000
    limit_ms: int = 60_000
    failures: int = 0
    until_ms: int = 0

    def ready(self, now_ms: int) -> bool:
        """Whether it is time to try (again)."""
        return now_ms >= self.until_ms

    def failed(self, now_ms: int) -> int:
        """Books a failure; returns the wait in ms before the next try is due."""
        wait_ms = min(self.limit_ms, self.first_ms << min(self.failures, 20))
        self.failures += 1
        self.until_ms = now_ms + wait_ms
        return wait_ms

    def succeeded(self) -> None:
        self.failures = self.until_ms = 0


class PolledBus(Protocol):
    """A wire where nothing comes unless asked. Calls come one at a time per bus connection."""

    id: str
    connections: int  # how many polls may run at once (1 on a serial line)

    @property
    def discarded(self) -> Counter[str]:
        """What came and was no answer, by fault."""
        ...

    async def poll(self, point: MeterPoint) -> Answer:
        """Read every block of the meter's plan. Raises DriverError; a block that failed while the
        counters came leaves its columns None and sets Quality.PARTIAL."""
        ...

    async def read_registers(self, unit: int, function: int, address: int, count: int) -> bytes:
        """Raw register bytes, guarded; for `regs`. Raises DriverError."""
        ...

    async def close(self) -> None: ...


class ListeningBus(Protocol):
    """A wire that speaks by itself."""

    id: str

    @property
    def discarded(self) -> Counter[str]:
        """What came and was no value, by reason."""
        ...

    async def run(
        self,
        points: list[MeterPoint],
        deliver: Callable[[Answer], None],
        state: Callable[[bool, str], None],
    ) -> None:
        """Connect, reconnect and deliver until cancelled. `state(up, reason)` at every change."""
        ...

    async def interrogate(self, point: MeterPoint) -> None:
        """Counter interrogation of one meter (DESIGN §6). Raises DriverError if not answered in time."""
        ...

    def answers(self, point: MeterPoint) -> bool:
        """For a map without counters: link active and the point not IV/NT."""
        ...

    async def close(self) -> None: ...


