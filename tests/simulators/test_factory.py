"""The demo plant: balanced, believable, and described by a site.toml that a person could have written."""

import tomllib

import pytest

from simulators.factory import METERS, demo_plant
from simulators.sim_meter import SimMeter

NOON_MS = 1_781_006_400_000  # 2026-06-09T12:00:00Z, a Tuesday


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.mark.parametrize("meters", [2, 5, METERS, 30])
def test_the_main_meter_carries_exactly_what_stands_behind_it(meters: int) -> None:
    clock = Clock()
    plant = demo_plant(meters, 7, clock=clock).plant
    assert len(plant.meters) == meters
    for seconds in (1, 7, 300):
        clock.now_ms += seconds * 1000 + 137
        plant.advance()
        net = {id_: meter.energy.totals[0] - meter.energy.totals[1] for id_, meter in plant.meters.items()}
        reactive = {id_: meter.energy.totals[2] - meter.energy.totals[3] for id_, meter in plant.meters.items()}
        assert net.pop("main-1") == sum(net.values())
        assert reactive.pop("main-1") == sum(reactive.values())


def test_the_same_seed_makes_the_same_plant() -> None:
    clocks = [Clock() for _ in range(3)]
    plants = [demo_plant(12, seed, clock=clock).plant for seed, clock in zip((7, 7, 8), clocks, strict=True)]
    for clock, plant in zip(clocks, plants, strict=True):
        clock.now_ms += 60_000
        plant.advance()
    first, again, other = ([meter.value("active_energy_import") for meter in plant.meters.values()] for plant in plants)
    assert first == again
    assert first != other


def test_the_sun_exports_and_the_loads_import() -> None:
    clock = Clock()
    plant = demo_plant(clock=clock).plant
    clock.now_ms += 10_000
    plant.advance()
    power = {id_: meter.energy.power_mw for id_, meter in plant.meters.items()}
    assert power["pv-1"] < -20_000_000
    assert all(p > 0 for id_, p in power.items() if id_ != "pv-1")


def test_no_load_comes_near_its_rated_power_in_a_day() -> None:
    clock = Clock()
    simulation = demo_plant(20, clock=clock)
    rated = {m.id: m.rated_power for wire in simulation.specs for m in wire.meters}
    watts = {"kW": 10**6, "MW": 10**9}
    for id_, meter in simulation.plant.meters.items():
        number, unit = rated[id_].split()
        peak = max(abs(meter.load(NOON_MS + n * 601_000)[0]) for n in range(144))
        assert peak < int(number) * watts[unit], id_


@pytest.mark.parametrize(
    ("language", "name", "zone"), [("zh", "进线总表", "Asia/Shanghai"), ("en", "Grid main", "Europe/Berlin")]
)
async def test_site_toml_names_every_meter_on_its_open_wire(language: str, name: str, zone: str) -> None:
    simulation = demo_plant(11, language=language)
    await simulation.start()
    try:
        site = tomllib.loads(simulation.site_toml())
        endpoints = simulation.endpoints()
    finally:
        await simulation.close()
    assert (site["site"]["timezone"], site["site"]["language"]) == (zone, language)
    buses = {bus["id"]: bus for bus in site["bus"]}
    assert {bus["protocol"] for bus in buses.values()} == {"modbus-tcp", "modbus-rtu-tcp", "modbus-rtu", "iec104"}
    meters = {meter["id"]: meter for meter in site["meter"]}
    assert meters["main-1"]["name"] == name
    assert (meters["main-1"]["role"], "parent" in meters["main-1"]) == ("grid", False)
    assert meters["pv-1"]["role"] == "generation"
    assert {meter.get("parent") for id_, meter in meters.items() if id_ != "main-1"} == {"main-1"}
    shown = {(m["id"], e["bus"], m["unit"]) for e in endpoints for m in e["meters"]}
    assert shown == {(m["id"], m["bus"], m["address"]) for m in meters.values()}
    assert all(buses[e["bus"]].get("port") == e.get("port") != 0 for e in endpoints)
    assert buses["field"]["device"].startswith("/dev/pts/")


def test_a_transformer_ratio_is_in_the_meter_itself() -> None:
    paint = demo_plant(clock=Clock()).plant.meters["paint-1"]
    assert isinstance(paint, SimMeter)
    assert paint.answer(bytes.fromhex("03 008d 0002"), NOON_MS).hex() == "030400010028"


@pytest.mark.parametrize(("meters", "language"), [(1, "en"), (10_000, "en"), (10, "fr")])
def test_a_demo_it_cannot_do_is_refused(meters: int, language: str) -> None:
    with pytest.raises(ValueError, match="a demo has 2 to 200 meters and speaks zh or en"):
        demo_plant(meters, language=language)
