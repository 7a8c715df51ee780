"""The simulator's encoder against the gateway's decoder: written apart, they must agree over real sockets."""

import tomllib
from collections.abc import AsyncIterator

import pytest

from drivers.bus import MeterPoint
from drivers.decode import Converter
from drivers.modbus import ModbusBus
from drivers.profile import MeterProfile, layout_for, parse_profile
from engine.quantity import QUANTITIES
from gateway.site.settings import Meter, Settings
from simulators.factory import demo_plant
from simulators.physics import SUBUNITS
from simulators.register_map import profiles_dir
from simulators.sim_meter import SimMeter
from simulators.simulation import Simulation

NOON_MS = 1_781_006_400_000  # 2026-06-09T12:00:00Z
# Half a count of the coarsest register of the demo (paint-1: 1 W and 0.01 A behind a ratio of 40).
STEPS = {"W": 20.1, "var": 20.1, "VA": 20.1, "A": 0.201, "V": 0.051, "1": 0.00051}
COUNTERS = (
    "active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export",
)  # fmt: skip


@pytest.fixture
async def demo() -> AsyncIterator[Simulation]:
    """The demo plant, stopped 100.777 s after its start, on open wires."""
    now_ms = [NOON_MS]
    simulation = demo_plant(12, clock=lambda: now_ms[0])
    now_ms[0] += 100_777
    simulation.plant.advance()
    await simulation.start()
    yield simulation
    await simulation.close()


def profile_of(meter: Meter) -> MeterProfile:
    text = (profiles_dir() / f"{meter.profile}.toml").read_text(encoding="utf-8")
    return parse_profile(meter.profile, text)


async def test_the_gateways_driver_reads_what_every_modbus_meter_of_the_demo_shows(demo: Simulation) -> None:
    site = Settings.model_validate(tomllib.loads(demo.site_toml()))
    compared = 0
    for bus_id, bus in site.buses.items():
        meters = [meter for meter in site.meters.values() if site.bus_of(meter) == bus_id]
        if bus.protocol == "iec104":
            continue
        line = ModbusBus(bus, {meter.profile: profile_of(meter) for meter in meters})
        for meter in meters:
            layout = layout_for(profile_of(meter))
            point = MeterPoint(meter.id, meter.address, meter.profile, layout, meter.interval)
            answer = await line.poll(point)
            assert not answer.flags, meter.id
            compared += compare(demo.plant.meters[meter.id], Converter(layout), answer.columns)
        await line.close()
    assert compared > 12 * 15


def compare(meter: object, converter: Converter, columns: tuple[int | None, ...]) -> int:
    """Counters must be equal to the mWh, instants within the register's rounding. Returns how many were compared."""
    assert isinstance(meter, SimMeter)
    shown = meter.report()["counters"]
    energies = dict(zip(COUNTERS, converter.engine_values(columns), strict=False))
    for counter, mwh in energies.items():
        assert mwh == shown.get(counter, {}).get("last_mwh"), (meter.id, counter)
    values = converter.values(columns)
    instants = [q for q in QUANTITIES.values() if q.kind == "instant" and q.key in values]
    for quantity in instants:
        truth = meter.value(quantity.id)
        assert truth is not None, quantity.id
        wanted, got = truth / SUBUNITS[quantity.id], values[quantity.key]
        if quantity.unit == "1":  # meters differ in the sign of a power factor
            wanted, got = abs(wanted), abs(got)
        step = STEPS.get(quantity.unit, 0.0051)
        assert got == pytest.approx(wanted, rel=1e-6, abs=step), (meter.id, quantity.id)
    return len(instants) + len(energies)
