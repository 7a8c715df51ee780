"""One simulated meter: a request's PDU in, an answer's PDU out. No socket and no clock here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from engine.quantity import QUANTITIES, TARIFFS
from simulators.counters import Term, term
from simulators.encode import RowEncoder
from simulators.faults import KINDS, Fault
from simulators.framing import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, READ_HOLDING, READ_INPUT
from simulators.load_shape import Load
from simulators.metering_point import MeteringPoint
from simulators.register_map import RegisterMap
from simulators.shown import ShownCounter, ShownRegisters

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


class SimMeter(MeteringPoint):
    """A metering point with registers. `scales`: counts in the meter's own scale registers by name, e.g.
    {"ct": 40}; the default is what means a factor of 1. The other keywords are those of MeteringPoint."""

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
        super().__init__(
            id_, load, start_ms=start_ms, seed=seed, starts_mwh=starts_mwh, tariffs=_tariffs(registers),
            step_ms=step_ms, utc_offset_ms=utc_offset_ms,
        )  # fmt: skip
        self.registers = registers
        own = {f"scale.{name}": count for name, count in (scales or {}).items()}
        self._constants = registers.constants | own
        self._encoders = _encoders(registers, self._constants)
        self._terms = [term(encoder.row.quantity) for encoder in self._encoders]
        self._plans: dict[tuple[int, int, int], list[_Piece]] = {}
        self._held: list[bytes] | None = None
        measured = [(e, t) for e, t in zip(self._encoders, self._terms, strict=True) if t is not None]
        self.rolling = [(made_of, modulus) for e, made_of in measured if (modulus := _modulus(e, made_of))]
        self.kinds = frozenset(KINDS) - (set() if self.rolling else {"rollover"})
        self.shown = ShownRegisters(
            {encoder.row.quantity: ShownCounter(encoder.modulus_sub) for encoder, _ in measured}, registers.sums
        )

    def report(self) -> dict[str, Any]:
        return self.shown.report()

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
        if plan is None:
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        return bytes((function, 2 * count)) + self._fill(plan, 2 * count, t_ms)

    def _plan(self, function: int, address: int, count: int) -> list[_Piece] | None:
        """Where each row's bytes go in the answer to this request; None = a meter would not answer it."""
        key = (function, address, count)
        plan = self._plans.get(key)
        if plan is None and self.registers.readable(*key):
            plan = self._cut(*key)
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

    def _take_step(self, step: Fault) -> None:
        super()._take_step(step)
        self.shown.break_off()


def _modulus(encoder: RowEncoder, made_of: Term) -> int | None:
    """Where a plain counter wraps [mWh], if that lies within the vocabulary's sane range."""
    modulus_mwh = encoder.modulus_sub
    plain = made_of.second is None and made_of.phase is None
    sane = modulus_mwh is not None and modulus_mwh <= 1000 * QUANTITIES[encoder.row.quantity].high
    return modulus_mwh if plain and sane else None


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
