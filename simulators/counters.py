"""The counters a meter shows over its true energy: a start value, a reset, a roll-over just ahead.

Every counter quantity of the vocabulary is a fixed function of the integrals of true_energy.py: a total is
import + export, a net is import - export, a phase is its share of the whole, a tariff has its own integral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.quantity import PHASES, QUANTITIES, TARIFFS
from simulators.true_energy import INTEGRALS, MWMS_PER_MWH, TrueEnergy

COUNTERS = {q.id for q in QUANTITIES.values() if q.kind == "counter"}
_APPARENT = 4


@dataclass(frozen=True, slots=True)
class Term:
    """How a counter is made: integral `first` (± integral `second`), of one phase or one tariff."""

    first: int
    second: int | None = None
    sign: Literal[1, -1] = 1
    phase: int | None = None
    tariff: int | None = None


def term(quantity: str) -> Term | None:
    """The make-up of a counter quantity; None = the plant does not know it."""
    base, phase, tariff = quantity, None, None
    for n, suffix in enumerate(PHASES):
        if quantity.endswith(f"_{suffix}"):
            base, phase = quantity[: -len(suffix) - 1], n
    for n, suffix in enumerate(TARIFFS):
        if quantity.endswith(f"_{suffix}"):
            base, tariff = quantity[: -len(suffix) - 1], n
    if base in INTEGRALS:
        return Term(INTEGRALS.index(base), phase=phase, tariff=tariff)
    if base in ("active_energy_total", "reactive_energy_total"):
        first = 0 if base.startswith("active") else 2
        return Term(first, first + 1, phase=phase, tariff=tariff)
    special = {
        "active_energy_net": Term(0, 1, -1),
        "yield_energy_total": Term(1),
        "apparent_energy_import": Term(_APPARENT, phase=phase, tariff=tariff),
    }
    return special.get(base)


class Counters:
    """Register contents in exact mW·ms: offset + integral, per integral and (if asked for) per tariff."""

    def __init__(
        self,
        energy: TrueEnergy,
        shares: tuple[int, int, int],
        starts_mwh: Mapping[str, int],
        *,
        tariffs: int = 1,
    ) -> None:
        unknown = set(starts_mwh) - set(INTEGRALS)
        if unknown:
            raise ValueError(f"no start value can be given to {', '.join(sorted(unknown))}")
        self._energy = energy
        self._shares = shares
        self._tariffs = tariffs
        self._offsets = [starts_mwh.get(name, 0) * MWMS_PER_MWH for name in INTEGRALS]
        # The history before the start was all in the first tariff.
        self._tariff_offsets = [list(self._offsets)] + [[0] * len(INTEGRALS) for _ in range(tariffs - 1)]

    def mwh(self, quantity: Term) -> int:
        """What the counter stands at now [mWh, floor], before its register's own resolution and modulus."""
        value = self._integral(quantity.first, quantity.tariff)
        if quantity.second is not None:
            value += quantity.sign * self._integral(quantity.second, quantity.tariff)
        if quantity.phase is not None:
            value = value * self._shares[quantity.phase] // 1000
        return value // MWMS_PER_MWH

    def _integral(self, index: int, tariff: int | None) -> int:
        if tariff is None:
            return self._offsets[index] + self._energy.totals[index]
        if tariff >= self._tariffs:
            return 0
        return self._tariff_offsets[tariff][index] + self._energy.by_tariff(tariff)[index]

    def reset(self) -> None:
        """All counters start again from 0 now."""
        self._offsets = [-total for total in self._energy.totals]
        self._tariff_offsets = [[-x for x in self._energy.by_tariff(n)] for n in range(self._tariffs)]

    def place(self, quantity: Term, target_mwh: int) -> None:
        """Set a counter of one integral (whole or one tariff) to `target_mwh` now."""
        if quantity.second is not None or quantity.phase is not None:
            raise ValueError("only a plain import or export counter can be placed")
        shift = target_mwh * MWMS_PER_MWH - self._integral(quantity.first, quantity.tariff)
        if quantity.tariff is None:
            self._offsets[quantity.first] += shift
        else:
            self._tariff_offsets[quantity.tariff][quantity.first] += shift
