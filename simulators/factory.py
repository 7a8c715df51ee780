"""The plant of `wattledger demo`: a small factory with a main meter, lines, ancillaries and photovoltaics.

The main meter carries exactly the sum of everything behind it, so the energy balance closes to the mW·ms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from simulators.load_shape import Compressor, Constant, Load, Motor, Photovoltaic, Shifts, Sum, mix
from simulators.plant import ClockMs, steady_clock
from simulators.simulation import MeterSpec, Simulation, SiteSpec, WireSpec
from simulators.true_energy import INTEGRALS

KW = 1_000_000  # mW
MAIN = "main-1"
METERS = 9  # of the factory without machine tools
METERS_MIN = 2
METERS_MAX = 200
UNITS_PER_LINE = 100
PAST_MWH = 9_000_000_000  # what a counter may have behind it
_TIMEZONES = {"zh": "Asia/Shanghai", "en": "Europe/Berlin"}
_SITE_NAMES = {"zh": "示范工厂", "en": "Demo factory"}
_NAMES: dict[str, tuple[str, str]] = {
    MAIN: ("进线总表", "Grid main"),
    "press-1": ("1号冲压机", "Press 1"),
    "press-2": ("2号冲压机", "Press 2"),
    "compressor-1": ("空压机", "Air compressor"),
    "hvac-1": ("暖通空调", "HVAC"),
    "lighting-1": ("车间照明", "Hall lighting"),
    "paint-1": ("喷涂线", "Paint line"),
    "pv-1": ("屋顶光伏", "Rooftop PV"),
    "yard-1": ("厂区馈线", "Yard feeder"),
}
_MACHINE = ("机床{n}", "Machine tool {n}")


def demo_plant(
    meters: int = METERS, seed: int = 7, *, language: str = "en", clock: ClockMs | None = None
) -> Simulation:
    """The demo's simulation, not yet started; `meters` counts all of them, the main meter included. Above
    nine there are machine tools, below nine some of the factory is left out.

    Raises ValueError for a number or a language that it cannot do.
    """
    if not METERS_MIN <= meters <= METERS_MAX or language not in _TIMEZONES:
        raise ValueError(
            f"a demo has {METERS_MIN} to {METERS_MAX} meters and speaks zh or en, not {meters}, {language!r}"
        )
    clock = clock or steady_clock()
    zone = ZoneInfo(_TIMEZONES[language])
    local = datetime.fromtimestamp(clock() / 1000, zone).utcoffset()
    offset_ms = int(local.total_seconds()) * 1000 if local else 0
    wires = [_named(wire, language) for wire in _wires(meters, seed, offset_ms)]
    site = SiteSpec("demo", _SITE_NAMES[language], zone.key, language)
    return Simulation(site, wires, clock, seed=seed, utc_offset_ms=offset_ms)


def _wires(meters: int, seed: int, offset_ms: int) -> list[WireSpec]:
    """Everything behind the main meter on its buses, and the main meter on a bus of its own."""
    load = _Loads(seed, offset_ms)
    hall = (
        _meter("press-1", "eastron-sdm630", 1, "250 kW", load.press(1, 62, 22), seed),
        _meter("press-2", "eastron-sdm630", 2, "200 kW", load.press(2, 48, 15), seed),
        _meter("compressor-1", "abb-b23", 3, "90 kW", Compressor(seed + 3, 37 * KW, 9 * KW), seed),
    )
    services = (
        _meter("hvac-1", "schneider-iem3155", 1, "80 kW", load.hvac(), seed),
        _meter("lighting-1", "chint-dtsu666", 2, "40 kW", load.shifts(5, 14, 5, 2, tan_milli=120), seed),
    )
    paint = _meter("paint-1", "acrel-dtsd1352", 1, "160 kW", load.shifts(6, 55, 16, 8, tan_milli=700), seed)
    sun = Photovoltaic(seed + 7, 90 * KW, utc_offset_ms=offset_ms)
    pv = _meter("pv-1", "eastron-sdm630", 2, "120 kW", sun, seed)
    field_bus = (
        replace(paint, scales={"ct": 40}, interval="2s"),
        replace(pv, role="generation", interval="2s", starts_mwh={INTEGRALS[1]: mix(seed, 77) % PAST_MWH}),
    )
    yard = _meter("yard-1", "iec104-typical", 1, "120 kW", load.shifts(8, 31, 9, 6, tan_milli=400), seed)
    machines = tuple(_machine(number, seed, offset_ms) for number in range(1, meters - METERS + 1))
    behind = (*hall, *services, *field_bus, yard, *machines)[: meters - 1]
    everything = Sum(tuple(meter.load for meter in behind))
    main = _meter(MAIN, "siemens-pac3200", 1, f"{1 + len(behind) // 5} MW", everything, seed)
    wires = [
        WireSpec("main", "modbus-tcp", (replace(main, role="grid", parent=""),)),
        WireSpec("hall-a", "modbus-tcp", hall),
        WireSpec("services", "modbus-rtu-tcp", services),
        WireSpec("field", "modbus-rtu", field_bus, baud=38_400),
        WireSpec("yard", "iec104", (yard,)),
    ]
    for first in range(0, len(machines), UNITS_PER_LINE):
        part = machines[first : first + UNITS_PER_LINE]
        wires.append(WireSpec(f"hall-b{first // UNITS_PER_LINE + 1}", "modbus-tcp", part))
    kept = {MAIN, *(meter.id for meter in behind)}
    wires = [replace(wire, meters=tuple(m for m in wire.meters if m.id in kept)) for wire in wires]
    return [wire for wire in wires if wire.meters]


@dataclass(frozen=True, slots=True)
class _Loads:
    """The load shapes of this factory, in kW."""

    seed: int
    offset_ms: int

    def shifts(
        self, number: int, day_kw: int, night_kw: int, weekend_kw: int, *, tan_milli: int = 600
    ) -> Shifts:
        levels = (day_kw * KW, night_kw * KW, weekend_kw * KW)
        return Shifts(self.seed + number, *levels, tan_milli=tan_milli, utc_offset_ms=self.offset_ms)

    def press(self, number: int, day_kw: int, motor_kw: int) -> Sum:
        motor = Motor(self.seed + 10 + number, motor_kw * KW, KW, 35 + 10 * number, 20)
        return Sum((self.shifts(number, day_kw, day_kw // 4, day_kw // 7), motor))

    def hvac(self) -> Sum:
        return Sum((self.shifts(4, 26, 11, 12, tan_milli=480), Constant(3 * KW, KW)))


def _machine(number: int, seed: int, offset_ms: int) -> MeterSpec:
    """One of many like machine tools, each with its own habits."""
    chance = mix(seed, 1000 + number)
    day_mw, tan_milli = (4 + chance % 9) * KW, 450 + chance % 300
    base = Shifts(seed + 100 + number, day_mw, KW, KW // 2, tan_milli=tan_milli, utc_offset_ms=offset_ms)
    motor = Motor(seed + 500 + number, (2 + chance % 4) * KW, KW // 5, 30 + chance % 60, 15 + chance % 10)
    profile = ("eastron-sdm630", "abb-b23", "schneider-iem3155")[number % 3]
    unit = (number - 1) % UNITS_PER_LINE + 1
    return _meter(f"machine-{number}", profile, unit, "60 kW", Sum((base, motor)), seed)


def _meter(id_: str, profile: str, unit: int, rated_power: str, load: Load, seed: int) -> MeterSpec:
    """A meter behind the main one, with registers that have been counting for some years."""
    past = mix(seed, sum(id_.encode()))
    starts = {INTEGRALS[0]: past % PAST_MWH, INTEGRALS[2]: past % (PAST_MWH // 2)}
    return MeterSpec(id_, profile, load, unit, rated_power=rated_power, parent=MAIN, starts_mwh=starts)


def _named(wire: WireSpec, language: str) -> WireSpec:
    which = 0 if language == "zh" else 1

    def name(id_: str) -> str:
        return _NAMES[id_][which] if id_ in _NAMES else _MACHINE[which].format(n=id_.rsplit("-", 1)[-1])

    return replace(wire, meters=tuple(replace(meter, name=name(meter.id)) for meter in wire.meters))
