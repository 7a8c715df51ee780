"""From configuration and profiles to what the wire, the engine and the log need of each meter."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.bus import MeterPoint
from drivers.decode import COUNTERS, Converter, energy_source
from drivers.profile import MeterProfile, layout_for, moduli_mwh, resolution_mwh
from engine.ledger import DeviceConfig
from gateway.site.profiles import load_profile
from gateway.site.settings import Meter, Settings


@dataclass(frozen=True, slots=True)
class Metered:
    """One configured meter, ready to be polled, computed and stored."""

    meter: Meter
    bus: str
    profile: MeterProfile
    point: MeterPoint
    converter: Converter
    device: DeviceConfig
    sparse: bool  # one answer brings some of the columns only (IEC 104)


def metered(settings: Settings) -> dict[str, Metered]:
    """Every meter of the site by id. Raises ConfigError for an unknown profile or a wrong table."""
    found = {}
    for meter in settings.meter:
        profile = load_profile(meter.profile)
        layout = layout_for(profile, ct=meter.ct, vt=meter.vt, reverse=meter.reverse)
        converter, source = Converter(layout), energy_source(layout)
        point = MeterPoint(meter.id, meter.address, meter.profile, layout, meter.interval, meter.ioa_base)
        device = DeviceConfig(
            meter=meter.id,
            interval_ms=meter.interval,
            rated_power_mw=meter.rated_power,
            mode=converter.mode,
            moduli_mwh=moduli_mwh(profile, layout),
            resolution_mwh=resolution_mwh(layout),
            tracked=tuple(bool(source.parts[name]) for name in COUNTERS),
            line=f"{layout.digest} {meter.serial}",
        )
        bus = settings.bus_of(meter)
        found[meter.id] = Metered(meter, bus, profile, point, converter, device, profile.iec104)
    return found
