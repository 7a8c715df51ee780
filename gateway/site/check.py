"""What a human would find in a valid site.toml: profiles, ratios, factors, and a bus that cannot keep up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.decode import energy_source
from drivers.profile import MeterProfile, layout_for, parse_profile
from engine.carbon import Factor
from engine.errors import ConfigError
from gateway.site.budget import TIGHT, BusLoad, MeterPlan, bus_loads, meter_plans
from gateway.site.check_files import own_file_problems
from gateway.site.factors import SCOPES, load_factors, nearest_factors
from gateway.site.plant import Meter
from gateway.site.problem import Problem
from gateway.site.profiles import nearest, profile_texts
from gateway.site.settings import Settings
from gateway.site.units import duration_text
from gateway.site.volume import StreamVolume, volumes


@dataclass(frozen=True, slots=True)
class CheckReport:
    """`errors` refuse the configuration; `warnings` do not. The rest is what it means for wire and broker."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    plans: tuple[MeterPlan, ...]
    buses: tuple[BusLoad, ...]
    streams: tuple[StreamVolume, ...]


def check(settings: Settings, texts: Mapping[str, str], factors: Mapping[str, Factor]) -> CheckReport:
    """Judge valid settings by the profiles (TOML text by id) and the emission factors there are."""
    profiles: dict[str, MeterProfile] = {}
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for name in sorted({m.profile for m in settings.meter} & set(texts)):
        try:
            profiles[name] = parse_profile(name, texts[name])
        except ConfigError as error:
            index = next(i for i, m in enumerate(settings.meter) if m.profile == name)
            errors.append(Problem(("meter", index, "profile"), f"profile {error}", error.hint))
    for index, meter in enumerate(settings.meter):
        where = ("meter", index)
        if meter.profile not in texts:
            near = " or ".join(f'"{name}"' for name in nearest(meter.profile, texts))
            message = f'meter "{meter.id}": unknown profile "{meter.profile}"'
            errors.append(Problem((*where, "profile"), message, near or "one of: wattledger profile list"))
        elif meter.profile in profiles:
            _meter(settings, meter, profiles[meter.profile], where, errors, warnings)
    _carbon(settings, factors, errors, warnings)
    _streams(settings, warnings)
    plans = meter_plans(settings, profiles)
    loads = bus_loads(settings, plans)
    for load in loads:
        _load(settings, load, errors, warnings)
    streams = volumes(settings, profiles, factors.get(settings.carbon.factor))
    return CheckReport(tuple(errors), tuple(warnings), tuple(plans), tuple(loads), tuple(streams))


def check_here(settings: Settings) -> CheckReport:
    """`check` with the profiles and factors of this installation. Raises ConfigError if those cannot be read."""
    return check(settings, profile_texts(), load_factors())


def problems_for(process: str) -> Callable[[Settings], tuple[Problem, ...]]:
    """What speaks against settings before `process` runs on them: for all three the same, and its own files."""

    def judge(settings: Settings) -> tuple[Problem, ...]:
        return (*check_here(settings).errors, *own_file_problems(settings, process))

    return judge


def _meter(
    settings: Settings, meter: Meter, profile: MeterProfile, where: tuple[str, int],
    errors: list[Problem], warnings: list[Problem],
) -> None:  # fmt: skip
    name, bus = f'meter "{meter.id}"', settings.buses[settings.bus_of(meter)]
    if not profile.speaks(bus.protocol):
        message = f"{name}: profile {profile.id} speaks {', '.join(profile.protocols)}, its bus {bus.protocol}"
        errors.append(Problem((*where, "profile"), message, f"a profile for {bus.protocol}, or another bus"))
    if profile.applies_ratio and (meter.ct or meter.vt):
        key = "ct" if meter.ct else "vt"
        message = f"{name}: the registers of {profile.id} carry the transformer ratio already"
        errors.append(Problem((*where, key), message, f"no {key}, and set the ratio in the meter itself"))
    if meter.rated_power is None:
        message = f"{name}: without rated_power a false register step of up to 5 MW × time is taken for energy"
        warnings.append(Problem((*where, "id"), message, 'rated_power = "250 kW"'))
    if meter.interval > settings.site.energy_interval:
        message = f"{name}: interval {duration_text(meter.interval)} is longer than energy_interval"
        shown = duration_text(settings.site.energy_interval)
        warnings.append(Problem((*where, "interval"), f"{message}: energy has no shape inside", f'"{shown}" or less'))
    source = energy_source(layout_for(profile, reverse=meter.reverse))
    quantities = {row.quantity for row in profile.selected()} | set(profile.sums)
    imports = {"active_energy_import", "active_energy_export"} & quantities
    if source.mode == "counters" and not imports:
        message = f"{name}: {profile.id} has only a total counter, which is taken as import"
        warnings.append(Problem((*where, "profile"), f"{message}: right only where nothing can flow back"))
    elif source.mode == "integrate":
        message = f"{name}: {profile.id} has no energy counter: energy is integrated from power"
        warnings.append(Problem((*where, "profile"), f'{message} and flagged "derived"'))


def _carbon(
    settings: Settings, factors: Mapping[str, Factor], errors: list[Problem], warnings: list[Problem]
) -> None:
    where = ("carbon", "factor")
    factor = factors.get(settings.carbon.factor)
    if factor is None:
        message = f'unknown carbon factor "{settings.carbon.factor}"'
        errors.append(Problem(where, message, nearest_factors(settings.carbon.factor, factors)))
        return
    for profile in settings.carbon.profiles:
        if factor.scope not in SCOPES[profile]:
            message = f'factor "{factor.id}" (scope {factor.scope}) cannot be used for profile "{profile}"'
            errors.append(Problem(where, message, f"a factor of scope {' or '.join(SCOPES[profile])}"))
        elif profile == "ghgp-market" and factor.scope == "2-location":
            message = f'profile "ghgp-market" with the grid average "{factor.id}": no residual mix is applied'
            warnings.append(Problem(("carbon", "profiles"), message))


def _streams(settings: Settings, warnings: list[Problem]) -> None:
    if not settings.meter:
        warnings.append(Problem((), "no meter is configured", "[[bus]] and [[meter]]: wattledger config example"))
    if "manifests" in settings.mqtt.streams:
        index = settings.mqtt.streams.index("manifests")
        message = 'stream "manifests" is not yet available: nothing is sent on it'
        warnings.append(Problem(("mqtt", "streams", index), message))
    if settings.mqtt.version == "3.1.1":
        message = "MQTT 3.1.1 has no reason codes: an acknowledgement does not prove that the broker kept a batch"
        warnings.append(Problem(("mqtt", "version"), message, 'version = "5" if the broker speaks it'))
    if settings.mqtt.password_file and not settings.mqtt.tls:
        message = "the password goes over the network in clear text"
        warnings.append(Problem(("mqtt", "url"), message, f'url = "mqtts://{settings.mqtt.host}:8883"'))


def _load(settings: Settings, load: BusLoad, errors: list[Problem], warnings: list[Problem]) -> None:
    """Above 100 % refused, unless the bus may stretch; from 80 % a warning: no time is left for repeats."""
    if load.utilisation < TIGHT:
        return
    fits = f'interval = "{duration_text(load.fits_ms)}" for its meters'
    meters = [m for m in settings.meter if settings.bus_of(m) == load.bus]
    intervals = sorted({m.interval for m in meters})
    shown = " and ".join([*map(duration_text, intervals[:3])])
    about = "about " if load.estimated else ""
    message = (
        f'bus "{load.bus}": {load.meters} meters need {about}{load.round_ms / 1000:.1f} s, '
        f"the interval is {shown}: {load.utilisation:.0%} of its time"
    )
    where = _place(settings, load.bus)
    if load.utilisation <= 1:
        message = message.replace(" of its time", " of its time, nothing is left for repeats")
        warnings.append(Problem(where, message))
    elif settings.buses[load.bus].overload == "stretch":
        warnings.append(Problem(where, f"{message}: polls will come late and be skipped", fits))
    else:
        instead = f'{fits}, fewer meters, a faster line, or overload = "stretch" for the bus'
        errors.append(Problem(where, message, instead))


def _place(settings: Settings, bus: str) -> tuple[str, int]:
    """The table that a bus comes from: [[bus]], or the first meter with a host of its own."""
    for index, table in enumerate(settings.bus):
        if table.id == bus:
            return ("bus", index)
    return ("meter", next(i for i, meter in enumerate(settings.meter) if settings.bus_of(meter) == bus))
