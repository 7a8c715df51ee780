"""How many bytes each MQTT stream will carry: sample rows of the real configuration through the real encoders. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from drivers.decode import Converter
from drivers.profile import MeterProfile, layout_for
from engine.carbon import Factor, co2_ng
from engine.interval import IntervalRow
from engine.quantity import QUANTITIES
from engine.reading import Column, Layout, Reading
from gateway.plant import DAY_MS, Meter
from gateway.settings import Settings
from gateway.store.rows import Emission, Row, StoredInterval, interval_row, reading_row
from gateway.uplink.envelope import Head, cut_columns, cut_objects, live

DAYS_PER_MONTH = 30
LIVE_MS = 500  # live is rewritten at most this often
BATCH_BYTES_MAX = 100_000
BATCH_ROWS_MAX = 500
_T_MS = 1_795_000_000_120
_SEQ = 123_456_789
# An ordinary value of each unit, with the digits that a reading has.
_TYPICAL = {
    "W": "12534.6", "var": "4312.8", "VA": "13255.9", "V": "230.12", "A": "18.524", "Hz": "50.013", "1": "0.946",
    "Wh": "123456780", "varh": "45678910", "VAh": "131313130", "deg": "18.3", "%": "3.21", "degC": "31.5",
}  # fmt: skip
_INT_BITS = {"int16": 15, "uint16": 16, "int32": 31, "uint32": 32, "int64": 63, "uint64": 63}


@dataclass(frozen=True, slots=True)
class StreamVolume:
    """Payload bytes of one stream, without the frames of MQTT, TLS and TCP (some percent more)."""

    stream: str
    rows_per_day: float
    bytes_per_row: float

    @property
    def mb_per_day(self) -> float:
        """In MB of 10⁶ bytes."""
        return self.rows_per_day * self.bytes_per_row / 1e6

    @property
    def mb_per_month(self) -> float:
        """In MB of 10⁶ bytes, 30 days."""
        return self.mb_per_day * DAYS_PER_MONTH


def volumes(
    settings: Settings, profiles: Mapping[str, MeterProfile], factor: Factor | None
) -> list[StreamVolume]:
    """The streams that are switched on and whose rate is known, and the live topics. Events come as they come."""
    metered = [(m, _layout(m, profiles[m.profile])) for m in settings.meter if m.profile in profiles]
    samples = {m.id: _sample(m.id, layout) for m, layout in metered}
    found = []
    if "readings" in settings.mqtt.streams:
        found.append(_readings(settings, [m for m, _ in metered], samples))
    if "intervals" in settings.mqtt.streams:
        found.append(_intervals(settings, [m for m, _ in metered], factor))
    found.append(_live([m for m, _ in metered], samples))
    return found


def _layout(meter: Meter, profile: MeterProfile) -> Layout:
    ratios = (None, None) if profile.applies_ratio else (meter.ct, meter.vt)
    return layout_for(profile, ct=ratios[0], vt=ratios[1], reverse=meter.reverse)


def _readings(settings: Settings, meters: list[Meter], samples: Mapping[str, Row]) -> StreamVolume:
    """Per meter the batches of one commit, as the uplink would cut them."""
    rows_per_day = bytes_per_day = 0.0
    cut = cut_columns if settings.mqtt.readings_format == "columns" else cut_objects
    together = 0 if settings.mqtt.readings_format == "columns" else len(meters)
    for meter in meters:
        per_commit = max(1, settings.store.commit_interval // meter.interval)
        count = min(BATCH_ROWS_MAX, per_commit * max(1, together))
        sent, payloads = _batch(cut, settings, "readings", [samples[meter.id]] * count)
        daily = DAY_MS / meter.interval
        rows_per_day += daily
        bytes_per_day += daily * payloads / sent
    return StreamVolume("readings", rows_per_day, bytes_per_day / rows_per_day if rows_per_day else 0)


def _intervals(settings: Settings, meters: list[Meter], factor: Factor | None) -> StreamVolume:
    seconds = settings.site.energy_interval // 1000
    rows = [_interval(settings, meter, seconds, factor) for meter in meters]
    per_row = 0.0
    if rows:
        sent, payloads = _batch(cut_objects, settings, "intervals", rows[:BATCH_ROWS_MAX])
        per_row = payloads / sent
    return StreamVolume("intervals", len(meters) * 86_400 / seconds, per_row)


def _live(meters: list[Meter], samples: Mapping[str, Row]) -> StreamVolume:
    rows = bytes_ = 0.0
    running = {
        "since": "2026-11-19T16:00:00.000Z", "active_energy_import_wh": 123456.789,
        "reactive_energy_import_varh": 45678.912, "power_factor": 0.9379, "demand_w": 12512.345,
        "co2e": [{"kg": 65.506172, "gas": "CO2", "profile": "ghgp-location", "factor": "cn.grid.national.2023",
                  "revision": 0}],
        "co2e_kg_per_h": 6.650859,
    }  # fmt: skip
    for meter in meters:
        payload = {key: value for key, value in samples[meter.id].items() if key != "seq"} | {"running": running}
        daily = DAY_MS / max(meter.interval, LIVE_MS)
        rows += daily
        bytes_ += daily * len(live(payload))
    return StreamVolume("live", rows, bytes_ / rows if rows else 0)


def _batch(
    cut: type[object] | object, settings: Settings, stream: str, rows: list[Row]
) -> tuple[int, int]:
    raise NotImplementedError
