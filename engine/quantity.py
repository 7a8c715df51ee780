"""The closed list of quantities: id, unit, kind, decimals, names, sane range. See docs/nomenclature.md.

Sign law: active power + = import from the grid; reactive + = inductive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["instant", "counter", "state"]
PHASES = ("l1", "l2", "l3")
TARIFFS = ("t1", "t2", "t3", "t4")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One measurable thing. `low` and `high` bound what physics allows, in `unit`."""

    id: str
    unit: str  # SI base: W var VA V A Hz Wh varh VAh deg % 1 degC
    kind: Kind
    decimals: int  # for people; machines get full resolution
    en: str
    zh: str
    low: float
    high: float

    @property
    def key(self) -> str:
        """The JSON key, `{id}_{unit}`; a ratio has no unit."""
        return self.id if self.unit == "1" else f"{self.id}_{_SUFFIX[self.unit]}"


_SUFFIX = {
    "W": "w", "var": "var", "VA": "va", "V": "v", "A": "a", "Hz": "hz", "Wh": "wh", "varh": "varh",
    "VAh": "vah", "deg": "deg", "%": "percent", "degC": "degc",
}  # fmt: skip

_POWER = 5e9  # W: above the largest plant connection
_ENERGY = 9e15 / 1000  # Wh: what an int64 of mWh holds with room to add


def _build() -> dict[str, Quantity]:
    rows: list[Quantity] = []

    def add(
        id_: str, unit: str, kind: Kind, decimals: int, en: str, zh: str, low: float, high: float
    ) -> None:
        rows.append(Quantity(id_, unit, kind, decimals, en, zh, low, high))

    def phased(id_: str, unit: str, decimals: int, en: str, zh: str, low: float, high: float) -> None:
        add(id_, unit, "instant", decimals, en, zh, low, high)
        for n, p in enumerate(PHASES, 1):
            add(f"{id_}_{p}", unit, "instant", decimals, f"{en} L{n}", f"L{n}{zh}", low, high)

    phased("active_power", "W", 1, "Active power", "有功功率", -_POWER, _POWER)
    phased("reactive_power", "var", 1, "Reactive power", "无功功率", -_POWER, _POWER)
    phased("apparent_power", "VA", 1, "Apparent power", "视在功率", 0, _POWER)
    phased("power_factor", "1", 3, "Power factor", "功率因数", -1, 1)
    phased("frequency", "Hz", 2, "Frequency", "频率", 10, 500)
    for n, p in enumerate(PHASES, 1):
        add(f"voltage_{p}_n", "V", "instant", 1, f"Voltage L{n}-N", f"L{n}相电压", 0, 1e6)
    for a, b in (("l1", "l2"), ("l2", "l3"), ("l3", "l1")):
        add(f"voltage_{a}_{b}", "V", "instant", 1, f"Voltage {a.upper()}-{b.upper()}",
            f"{a.upper()}-{b.upper()}线电压", 0, 1e6)  # fmt: skip
    add("voltage_avg_l_n", "V", "instant", 1, "Voltage mean L-N", "平均相电压", 0, 1e6)
    add("voltage_avg_l_l", "V", "instant", 1, "Voltage mean L-L", "平均线电压", 0, 1e6)
    for n, p in enumerate(PHASES, 1):
        add(f"current_{p}", "A", "instant", 3, f"Current L{n}", f"L{n}电流", -1e6, 1e6)
    add("current_n", "A", "instant", 3, "Neutral current", "中性线电流", -1e6, 1e6)
    add("current_avg", "A", "instant", 3, "Mean current", "平均电流", -1e6, 1e6)
    add("current_total", "A", "instant", 3, "Sum of currents", "总电流", -1e6, 1e6)
    add("phase_angle", "deg", "instant", 1, "Phase angle", "相位角", -360, 360)
    for what, zh in (("voltage", "电压"), ("current", "电流")):
        for n, p in enumerate(PHASES, 1):
            add(f"thd_{what}_{p}", "%", "instant", 2, f"THD {what} L{n}", f"L{n}{zh}总谐波畸变率", 0, 1000)
    for base, unit, en, zh in (
        ("active_energy_import", "Wh", "Active energy import", "正向有功电能"),
        ("active_energy_export", "Wh", "Active energy export", "反向有功电能"),
        ("active_energy_total", "Wh", "Active energy total", "组合有功总电能"),
        ("reactive_energy_import", "varh", "Reactive energy import", "正向无功电能"),
        ("reactive_energy_export", "varh", "Reactive energy export", "反向无功电能"),
        ("reactive_energy_total", "varh", "Reactive energy total", "组合无功总电能"),
        ("apparent_energy", "VAh", "Apparent energy", "视在电能"),
        ("apparent_energy_import", "VAh", "Apparent energy import", "正向视在电能"),
        ("apparent_energy_export", "VAh", "Apparent energy export", "反向视在电能"),
    ):
        add(base, unit, "counter", 1, en, zh, 0, _ENERGY)
        for n, p in enumerate(PHASES, 1):
            add(f"{base}_{p}", unit, "counter", 1, f"{en} L{n}", f"L{n}{zh}", 0, _ENERGY)
        for n, t in enumerate(TARIFFS, 1):
            add(f"{base}_{t}", unit, "counter", 1, f"{en} T{n}", f"费率{n}{zh}", 0, _ENERGY)
    add("active_energy_net", "Wh", "counter", 1, "Active energy net", "净有功电能", -_ENERGY, _ENERGY)
    add("yield_energy_total", "Wh", "counter", 1, "Yield total", "累计发电量", 0, _ENERGY)
    add("yield_energy_today", "Wh", "state", 1, "Yield today", "当日发电量", 0, _ENERGY)
    return {q.id: q for q in rows}


QUANTITIES: dict[str, Quantity] = _build()
