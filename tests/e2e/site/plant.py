"""The plant of these tests: real wires served by a thread of their own, every switch within a test's reach."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from simulators.iec104_station import Iec104Station
from simulators.load_shape import Shifts
from simulators.plant import steady_clock
from simulators.sim_feeder import SimFeeder
from simulators.simulation import MeterSpec, Simulation, SiteSpec, WireProtocol, WireSpec

T = TypeVar("T")
MW = 1_000_000_000  # mW

HONEST = ("press-1", "drive-1", "drive-2", "oven-1", "oven-2")  # never disturbed
FEEDER, MUTE = "feeder-1", "mute-1"
# Wire faults by what the guard calls them, "" = no wrong answer but a right one, a late one or one without values.
FAULTS = {
    "unit": "unit", "function": "function", "length": "length", "count": "byte count", "transaction": "transaction",
    "exception": "", "nan": "", "noise": "protocol", "late=1500ms": "", "split": "", "merged": "transaction",
}  # fmt: skip
RTU_FAULTS = {
    "unit": "unit", "function": "function", "length": "byte count", "count": "byte count", "exception": "",
    "nan": "", "noise": "", "late=1500ms": "", "split": "", "merged": "",
}  # fmt: skip
SPOILED = [f"tcp-{f.partition('=')[0]}" for f in FAULTS] + [f"rtu-{f.partition('=')[0]}" for f in RTU_FAULTS]


def _meter(id_: str, profile: str, unit: int = 1, *, mw: int = MW // 20) -> MeterSpec:
    seed = sum(id_.encode())
    return MeterSpec(id_, profile, Shifts(seed, mw, mw // 2, mw // 2, ripple_milli=150), unit, rated_power="2 MW")


def wires() -> list[WireSpec]:
    """Honest meters on each wire, one that never answers, one station, and one meter on a wire for each fault."""

    def wire(id_: str, protocol: WireProtocol, *meters: MeterSpec) -> WireSpec:
        return WireSpec(id_, protocol, meters)

    return [
        wire("hall", "modbus-tcp", _meter("press-1", "eastron-sdm630")),
        wire("mute", "modbus-tcp", _meter("mute-1", "eastron-sdm630")),
        wire("line", "modbus-rtu", _meter("drive-1", "chint-dtsu666", 1), _meter("drive-2", "acrel-dtsd1352", 2)),
        wire("gate", "modbus-rtu-tcp", _meter("oven-1", "abb-b23", 1), _meter("oven-2", "siemens-pac3200", 2)),
        wire("station", "iec104", _meter(FEEDER, "iec104-typical", mw=MW)),
        *(wire(id_, "modbus-tcp", _meter(id_, "abb-b23")) for id_ in SPOILED if id_.startswith("tcp-")),
        *(wire(id_, "modbus-rtu-tcp", _meter(id_, "eastron-sdm630")) for id_ in SPOILED if id_.startswith("rtu-")),
    ]


def imported_mwh(registers: dict[str, int]) -> int | None:
    """The import counter of an answer, added up where the meter has it by tariff only; None if it was not asked."""
    parts = [mwh for name, mwh in registers.items() if re.fullmatch(r"active_energy_import_t\d", name)]
    return registers.get("active_energy_import", sum(parts) if parts else None)


class Plant:
    """A Simulation that runs until `close`."""

    def __init__(self, specs: Sequence[WireSpec]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._simulation = Simulation(SiteSpec("plant"), specs, steady_clock())
        self._await(self._simulation.start())
        self._pace = asyncio.run_coroutine_threadsafe(self._advance(), self._loop)

    async def _advance(self) -> None:
        while True:
            self._simulation.plant.advance()
            await asyncio.sleep(1)

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def do(self, work: Callable[[], T]) -> T:
        """Call something in the plant's own thread."""

        async def call() -> T:
            return work()

        result: T = self._await(call())
        return result

    @property
    def site_toml(self) -> str:
        return self._simulation.site_toml()

    @property
    def station(self) -> Iec104Station:
        feeder = self._simulation.plant.meters[FEEDER]
        assert isinstance(feeder, SimFeeder)
        return feeder.station

    def order(self, *lines: str) -> None:
        """Fault lines of simulators/faults.py, in force when this returns."""

        def put() -> None:
            for line in lines:
                self._simulation.plant.order(line)
            self._simulation.plant.advance()

        self.do(put)

    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.do(self._simulation.plant.truth)["meters"]
        return found

    def shown_mwh(self, meter: str) -> list[int]:
        """Import registers that the meter rightly showed, oldest first."""
        log = self.truth()[meter]["log"]
        return [mwh for _, registers, in_order in log if in_order and (mwh := imported_mwh(registers)) is not None]

    def close(self) -> None:
        self._pace.cancel()
        self._await(self._simulation.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
