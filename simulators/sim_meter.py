"""One simulated meter: a request's PDU in, an answer's PDU out. No socket and no clock here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from engine.quantity import QUANTITIES, TARIFFS
from simulators.counters import Counters, Term, term
from simulators.encode import RowEncoder
from simulators.faults import Fault, FaultBook
from simulators.framing import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, READ_HOLDING, READ_INPUT
from simulators.load_shape import Load, mix
from simulators.physics import Grid, instants
from simulators.register_map import RegisterMap
from simulators.shown import ShownCounter, ShownRegisters
from simulators.true_energy import TrueEnergy

HARMLESS = {"stuck", "split"}  # faults under which what is shown is still this meter's right answer
PLANS_MAX = 256


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes skip..skip+size of row `index` stand at byte `at` of the answer's registers."""

    index: int
    at: int
    skip: int
    size: int
    whole: bool


class SimMeter:
    """A load, its true energy, and the registers that show it. Time comes with every call [UTC ms].

    `starts_mwh`: where the counters of true_energy.INTEGRALS stood at `start_ms`. `scales`: counts in the
    meter's own scale registers by name, e.g. {"ct": 40}; the default is what means a factor of 1.
    """

    def __init__(
        self,
        id_: str,
        registers: RegisterMap,
        load: Load,
        *,
        start_ms: int,
        seed: int = 0,
        starts_mwh: Mapping[str, int] | None = None,
        scales: Mapping[str, int] | None = None,
        step_ms: int = 1000,
        utc_offset_ms: int = 0,
    ) -> None:
        self.id = id_
        self.registers = registers
        self.load = load
        self.faults = FaultBook()
        self._grid = Grid(seed, shares=_shares(seed))
        tariffs = _tariffs(registers)
        self.energy = TrueEnergy(
            load, start_ms, step_ms=step_ms, tariffs=tariffs, utc_offset_ms=utc_offset_ms
        )
        self.counters = Counters(self.energy, self._grid.shares, starts_mwh or {}, tariffs=tariffs)
        own = {f"scale.{name}": count for name, count in (scales or {}).items()}
        self._constants = registers.constants | own
        self._encoders = _encoders(registers, self._constants)
        self._terms = [term(encoder.row.quantity) for encoder in self._encoders]
        self._plans: dict[tuple[int, int, int], list[_Piece]] = {}
        self._instants: dict[str, int] = {}
        self._instants_at: int | None = None
        self._held: list[bytes] | None = None
        self.shown = ShownRegisters(
            {
                encoder.row.quantity: ShownCounter(encoder.modulus_sub)
                for encoder, made_of in zip(self._encoders, self._terms, strict=True)
                if made_of is not None
            },
            registers.sums,
        )

    def advance(self, t_ms: int) -> None:
        """Bring true energy to `t_ms`, taking resets and roll-overs at their own time on the way."""
        for step in self.faults.due_steps(t_ms):
            self.energy.advance(step.start_ms)
            self._take_step(step)
        self.energy.advance(t_ms)

    def value(self, quantity: str) -> int | None:
        """The measured value now in sub-units (physics.SUBUNITS; mWh for counters); None = not measured."""
        made_of = term(quantity)
        return self._instant(quantity) if made_of is None else self.counters.mwh(made_of)

    def answer(self, pdu: bytes, t_ms: int) -> bytes:
        """The answer's PDU at `t_ms`, an exception where a real meter would give one."""
        self.advance(t_ms)
        function = pdu[0]
        if function not in (READ_HOLDING, READ_INPUT):
            return bytes((function | 0x80, ILLEGAL_FUNCTION))
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if len(pdu) != 5 or not 1 <= count <= self.registers.registers_max:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        plan = self._plan(function, address, count)
        if not plan:
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        return bytes((function, 2 * count)) + self._fill(plan, 2 * count, t_ms)

    def _plan(self, function: int, address: int, count: int) -> list[_Piece]:
        """Where each row's bytes go in the answer to this request; empty = not readable."""
        key = (function, address, count)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._cut(function, address, count) if self.registers.readable(*key) else []
            if len(self._plans) < PLANS_MAX:
                self._plans[key] = plan
        return plan

    def _cut(self, function: int, address: int, count: int) -> list[_Piece]:
        pieces = []
        for index, row in enumerate(self.registers.rows):
            first, last = max(row.address, address), min(row.address + row.registers, address + count)
            if row.function == function and first < last:
                size = 2 * (last - first)
                whole = size == 2 * row.registers
                pieces.append(_Piece(index, 2 * (first - address), 2 * (first - row.address), size, whole))
        return pieces

    def _fill(self, plan: list[_Piece], size: int, t_ms: int) -> bytes:
        """Register bytes of an answer; counters that stand in it whole are entered in the record."""
        active = self.faults.active(t_ms)
        if "stuck" not in active:
            self._held = None
        elif self._held is None:
            self._held = [self._register(index, active) for index in range(len(self._encoders))]
        registers = bytearray(size)
        counters: dict[str, int] = {}
        for piece in plan:
            data = self._held[piece.index] if self._held else self._register(piece.index, active)
            registers[piece.at : piece.at + piece.size] = data[piece.skip : piece.skip + piece.size]
            encoder = self._encoders[piece.index]
            if encoder.row.quantity in self.shown.counters and piece.whole and "nan" not in active:
                counters[encoder.row.quantity] = encoder.shown(data)
        if counters:
            self.shown.show(t_ms, counters, in_order=active.keys() <= HARMLESS)
        return bytes(registers)

    def _register(self, index: int, active: Mapping[str, Fault]) -> bytes:
        """Bytes of one row now, value faults included."""
        encoder, made_of = self._encoders[index], self._terms[index]
        constant = self._constants.get(encoder.row.quantity)
        if constant is not None:
            return encoder.encode(constant)
        if "nan" in active:
            return encoder.encode(None)
        if made_of is None:
            return encoder.encode(self._instant(encoder.row.source))
        return encoder.encode(0 if "zero" in active else self.counters.mwh(made_of))

    def _instant(self, source: str) -> int | None:
        now = self.energy
        if self._instants_at != now.step_start_ms:
            self._instants_at = now.step_start_ms
            self._instants = instants(self._grid, now.step_start_ms, now.power_mw, now.reactive_mvar)
        return self._instants.get(source)

    @property
    def can_roll_over(self) -> bool:
        return bool(self._rolling())

    def _rolling(self) -> list[tuple[Term, int]]:
        """Plain counters that wrap within the vocabulary's sane range, with their modulus [mWh]."""
        found = []
        for made_of, encoder in zip(self._terms, self._encoders, strict=True):
            if made_of is not None and made_of.second is None and made_of.phase is None:
                modulus_mwh = encoder.modulus_sub
                if modulus_mwh and modulus_mwh <= 1000 * QUANTITIES[encoder.row.quantity].high:
                    found.append((made_of, modulus_mwh))
        return found

    def _take_step(self, step: Fault) -> None:
        if step.kind == "reset":
            self.counters.reset()
        else:
            for made_of, modulus_mwh in self._rolling():
                self.counters.place(made_of, modulus_mwh - 1000 * step.value)
        self.shown.break_off()


def _encoders(registers: RegisterMap, constants: Mapping[str, int]) -> list[RowEncoder]:
    """Encoders in the order of the rows, with the meter's own scale registers in force."""
    scales = {
        row.quantity.removeprefix("scale."): row.scale * constants[row.quantity]
        for row in registers.rows
        if row.quantity.startswith("scale.")
    }
    plain = (replace(row, scale=Fraction(1)) if row.quantity in constants else row for row in registers.rows)
    return [RowEncoder(row, scales) for row in plain]


def _tariffs(registers: RegisterMap) -> int:
    """How many tariffs the map has registers for, 1 if none."""
    names = {row.quantity.rsplit("_", 1)[-1] for row in registers.rows}
    return max((n for n, tariff in enumerate(TARIFFS, 1) if tariff in names), default=1)


def _shares(seed: int) -> tuple[int, int, int]:
    """How the phases share the load, in thousandths: not quite alike."""
    first, second = 320 + mix(seed, 1) % 30, 320 + mix(seed, 2) % 30
    return first, second, 1000 - first - second
