"""How many bytes the MQTT streams will carry: sample rows of this configuration through the real encoders. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from drivers.decode import Converter
from drivers.profile import MeterProfile, layout_for
from engine.carbon import Factor, co2_ng
from engine.interval import IntervalRow
from engine.quantity import QUANTITIES
from engine.reading import Column, Layout, Reading
from gateway.site.plant import DAY_MS, Meter
from gateway.site.settings import Settings
from gateway.store.rows import Emission, Row, StoredInterval, interval_row, reading_row
from gateway.uplink.envelope import Cut, Head, cut_columns, cut_objects, live
from gateway.uplink.limits import Limits

DAYS_PER_MONTH = 30
LIVE_MS = 500  # live is rewritten at most this often
_T_MS = 1_795_000_000_120
_SEQ = 123_456_789
# An ordinary value of each unit, with the digits that a meter shows.
_TYPICAL = {
    "W": "12534.6", "var": "4312.8", "VA": "13255.9", "V": "230.1", "A": "18.524", "Hz": "50.01", "1": "0.946",
    "Wh": "123456780", "varh": "45678910", "VAh": "131313130", "deg": "18.3", "%": "3.21", "degC": "31.5",
}  # fmt: skip
_BITS = {"int16": 15, "uint16": 16, "int32": 31, "uint32": 32, "int64": 63, "uint64": 63}
_RUNNING = {
    "since": "2026-11-19T16:00:00.000Z", "active_energy_import_wh": 123456.789,
    "reactive_energy_import_varh": 45678.912, "power_factor": 0.9379, "demand_w": 12512.345,
    "co2e": [{"kg": 65.506172, "gas": "CO2", "profile": "ghgp-location", "factor": "cn.grid.national.2023",
              "revision": 0}],
    "co2e_kg_per_h": 6.650859,
}  # fmt: skip
Cutter = Callable[[Sequence[Row], Head, int, int], Cut]


@dataclass(frozen=True, slots=True)
class StreamVolume:
    """Payload of one stream in rows a day and bytes; the frames of MQTT, TLS and TCP add some percent."""

    stream: str
    rows_per_day: float
    bytes_per_day: float

    @property
    def bytes_per_row(self) -> float:
        return self.bytes_per_day / self.rows_per_day if self.rows_per_day else 0.0

    @property
    def mb_per_day(self) -> float:
        """MB of 10⁶ bytes."""
        return self.bytes_per_day / 1e6

    @property
    def mb_per_month(self) -> float:
        """MB of 10⁶ bytes in 30 days."""
        return self.mb_per_day * DAYS_PER_MONTH


def volumes(
    settings: Settings, profiles: Mapping[str, MeterProfile], factor: Factor | None
) -> list[StreamVolume]:
    """Every stream that is on and whose rate is known beforehand (events come as they come), and the live topics.

    Meters whose profile is unknown are left out.
    """
    rows = {m: _sample_reading(m, profiles[m.profile]) for m in settings.meter if m.profile in profiles}
    found = []
    if "readings" in settings.mqtt.streams:
        found.append(_readings(settings, rows))
    if "intervals" in settings.mqtt.streams:
        found.append(_intervals(settings, list(rows), factor))
    per_day = {meter: DAY_MS / max(meter.interval, LIVE_MS) for meter in rows}
    size = {meter: len(live({**row, "running": _RUNNING})) for meter, row in rows.items()}
    found.append(StreamVolume("live", sum(per_day.values()), sum(per_day[m] * size[m] for m in rows)))
    return found


def _readings(settings: Settings, rows: Mapping[Meter, Row]) -> StreamVolume:
    """A batch is what one commit brought: of all meters as objects, of one meter as columns."""
    columns = settings.mqtt.readings_format == "columns"
    commit = settings.store.commit_interval
    together = sum(max(1, commit // meter.interval) for meter in rows)
    total = 0.0
    for meter, row in rows.items():
        count = max(1, commit // meter.interval) if columns else together
        per_row = _bytes_per_row(settings, "readings", {"seq": _SEQ, **row}, count)
        total += DAY_MS / meter.interval * per_row
    return StreamVolume("readings", sum(DAY_MS / meter.interval for meter in rows), total)


def _intervals(settings: Settings, meters: Sequence[Meter], factor: Factor | None) -> StreamVolume:
    seconds = settings.site.energy_interval // 1000
    sizes = [
        _bytes_per_row(settings, "intervals", _sample_interval(settings, meter, seconds, factor), len(meters))
        for meter in meters
    ]
    per_day = 86_400 / seconds
    return StreamVolume("intervals", per_day * len(meters), per_day * sum(sizes))


def _bytes_per_row(settings: Settings, stream: str, row: Row, count: int) -> float:
    """Payload bytes per row in a batch of `count` such rows, cut as the uplink cuts it."""
    limits = Limits()
    columns = stream == "readings" and settings.mqtt.readings_format == "columns"
    cutter: Cutter = cut_columns if columns else cut_objects
    batch = [{**row, "seq": _SEQ + n} for n in range(min(count, limits.batch_rows_max))]
    head = Head(settings.site.gateway, _T_MS, stream)
    cut = cutter(batch, head, _T_MS, limits.batch_bytes_max)
    return sum(map(len, cut.payloads)) / (cut.last - _SEQ + 1)


def _sample_reading(meter: Meter, profile: MeterProfile) -> Row:
    own = profile.applies_ratio
    layout = layout_for(
        profile, ct=None if own else meter.ct, vt=None if own else meter.vt, reverse=meter.reverse
    )
    reading = Reading(meter.id, _T_MS, 1, 0, layout.digest, _sample_columns(layout))
    return reading_row(None, reading, Converter(layout))


def _sample_columns(layout: Layout) -> tuple[int, ...]:
    """Raw registers of an ordinary moment; scale registers are 1."""
    return tuple(1 if c.quantity.startswith("scale.") else _raw(c) for c in layout.columns)


def _raw(column: Column) -> int:
    value = Fraction(_TYPICAL[QUANTITIES[column.quantity].unit]) / abs(column.factor)
    if column.wire == "float32":
        return int(struct.unpack(">I", struct.pack(">f", float(value)))[0])
    if column.wire == "float64":
        return int(struct.unpack(">q", struct.pack(">d", float(value)))[0])
    return min(round(value), (1 << _BITS[column.wire]) - 2)


def _sample_interval(settings: Settings, meter: Meter, seconds: int, factor: Factor | None) -> Row:
    energy = 3_133_650
    emissions = tuple(
        Emission(co2_ng(energy, factor), factor.gas, profile, factor.id, factor.revision)
        for profile in settings.carbon.profiles if factor is not None
    )  # fmt: skip
    due = max(1, seconds * 1000 // meter.interval)
    row = IntervalRow(
        meter.id, _T_MS // 900_000 * 900_000, seconds, energy, 0, 1_078_200, 0, 12_534_600, due, due, 0
    )
    return interval_row(StoredInterval(_SEQ, row, meter.role, meter.parent, emissions))
