"""What every simulated meter is, whatever its wire: a load, its true energy, its counters, and what it measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from simulators.counters import Counters, Term, term
from simulators.faults import Fault, FaultBook
from simulators.load_shape import Load, mix
from simulators.physics import Grid, instants
from simulators.true_energy import TrueEnergy


class MeteringPoint(ABC):
    """A load and its exact measurement. Time comes with every call [UTC ms].

    `starts_mwh`: where the counters of true_energy.INTEGRALS stood at `start_ms`. `kinds`: the faults that it
    can play. `rolling`: the counters that a roll-over can be put in front of, with their modulus [mWh].
    """

    kinds: frozenset[str] = frozenset()

    def __init__(
        self,
        id_: str,
        load: Load,
        *,
        start_ms: int,
        seed: int = 0,
        starts_mwh: Mapping[str, int] | None = None,
        tariffs: int = 1,
        step_ms: int = 1000,
        utc_offset_ms: int = 0,
    ) -> None:
        self.id = id_
        self.load = load
        self.faults = FaultBook()
        self.rolling: list[tuple[Term, int]] = []
        self.energy = TrueEnergy(
            load, start_ms, step_ms=step_ms, tariffs=tariffs, utc_offset_ms=utc_offset_ms
        )
        self._grid = Grid(seed, shares=_shares(seed))
        self.counters = Counters(self.energy, self._grid.shares, starts_mwh or {}, tariffs=tariffs)
        self._instants: dict[str, int] = {}
        self._instants_at: int | None = None

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """JSON-ready: the counters that it showed, as shown.ShownRegisters.report gives them."""

    def advance(self, t_ms: int) -> None:
        """Bring true energy to `t_ms`, taking resets and roll-overs at their own time on the way."""
        for step in self.faults.due_steps(t_ms):
            self.energy.advance(step.start_ms)
            self._take_step(step)
        self.energy.advance(t_ms)

    def value(self, quantity: str) -> int | None:
        """The value now in sub-units (physics.SUBUNITS; mWh for counters); None = not measured."""
        made_of = term(quantity)
        return self._instant(quantity) if made_of is None else self.counters.mwh(made_of)

    def _instant(self, source: str) -> int | None:
        now = self.energy
        if self._instants_at != now.step_start_ms:
            self._instants_at = now.step_start_ms
            self._instants = instants(self._grid, now.step_start_ms, now.power_mw, now.reactive_mvar)
        return self._instants.get(source)

    def _take_step(self, step: Fault) -> None:
        if step.kind == "reset":
            self.counters.reset()
        else:
            for made_of, modulus_mwh in self.rolling:
                self.counters.place(made_of, modulus_mwh - 1000 * step.value)


def _shares(seed: int) -> tuple[int, int, int]:
    """How the phases share the load, in thousandths: not quite alike."""
    first, second = 320 + mix(seed, 1) % 30, 320 + mix(seed, 2) % 30
    return first, second, 1000 - first - second
