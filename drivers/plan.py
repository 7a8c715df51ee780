"""Which blocks to read: the rows of a profile → the fewest requests, and the time that they take. Pure.

Registers between two rows are read along only where the map allows it (`holes`, or they belong to another
row) and where it pays. The block with the energy counters comes first: it dates the reading, and with it the
reading is valid whatever the others do. Powers and power factor stand in it where addresses permit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from drivers.block import Field
from drivers.decode import COUNTERS, POWERS, energy_source
from drivers.profile import MAX_REGISTERS, MeterProfile, layout_for
from drivers.rows import Row

TURNAROUND_MS = 10.0  # a meter's thinking time
TCP_REQUEST_MS = 10.0  # one request over a plant network
_COMPANIONS = frozenset({*COUNTERS, *POWERS, "apparent_power", "power_factor"})


@dataclass(frozen=True, slots=True)
class Block:
    """One request. `columns`: places in the layout that it fills, in the order of `fields`.

    `safe`: no register is read that no row defines, and no optional row; a meter has no ground to refuse it.
    `optional`: nothing but optional rows.
    """

    function: int
    address: int
    count: int
    columns: tuple[int, ...]
    fields: tuple[Field, ...]
    safe: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """All requests of one poll; `blocks[0]` carries the energy counters. `width` = columns of the layout."""

    blocks: tuple[Block, ...]
    width: int


def plan(
    profile: MeterProfile,
    wanted: set[str] | None = None,
    *,
    gap_max: int = MAX_REGISTERS,
    strict: bool = False,
) -> ReadPlan:
    """The plan for `profile.selected(wanted)`.

    `gap_max`: widest gap, in registers, that is worth reading along (`paying_gap`). `strict`: no registers
    but those of rows, and optional rows apart; for a meter that refused a block.
    """
    rows = profile.selected(wanted)
    lead, companions = _lead(profile, rows, wanted)
    covered = {(row.function, row.address + n) for row in profile.rows for n in range(row.width)}

    def mergeable(before: Row, after: Row) -> bool:
        first, last = before.address + before.width, after.address - 1
        if before.function != after.function or last - first + 1 > gap_max:
            return False
        if strict and (before.optional or after.optional):
            return False
        gap = [register for register in range(first, last + 1) if (after.function, register) not in covered]
        if strict or profile.holes is False:
            return not gap
        return profile.holes is True or all(any(a <= r <= b for a, b in profile.holes) for r in gap)

    # Cheapest way to cut the first n rows: (requests, companions apart from the lead, registers), where cut.
    best: list[tuple[tuple[float, float, float], int]] = [((0, 0, 0), 0)]
    for end in range(1, len(rows) + 1):
        found: tuple[tuple[float, float, float], int] = ((inf, inf, inf), end - 1)
        for start in range(end - 1, -1, -1):
            if start < end - 1 and not mergeable(rows[start], rows[start + 1]):
                break
            count = rows[end - 1].address + rows[end - 1].width - rows[start].address
            if count > profile.max_registers:
                break
            apart = 0 if start <= lead < end else sum(start <= place < end for place in companions)
            (requests, split, registers), _ = best[start]
            found = min(found, ((requests + 1, split + apart, registers + count), start))
        best.append(found)
    blocks, end = [], len(rows)
    while end:
        start = best[end][1]
        blocks.append(_block(rows, start, end, covered))
        end = start
    blocks.sort(key=lambda block: (lead not in block.columns, block.columns))
    return ReadPlan(tuple(blocks), len(rows))


def _lead(profile: MeterProfile, rows: tuple[Row, ...], wanted: set[str] | None) -> tuple[int, list[int]]:
    """The column that dates the reading, and those that should come with it."""
    parts = energy_source(layout_for(profile, wanted=wanted)).parts
    counters = [place for name in COUNTERS for place in parts[name]]
    companions = [place for place, row in enumerate(rows) if row.quantity in _COMPANIONS]
    return (counters or companions or [0])[0], sorted({*counters, *companions})


def _block(rows: tuple[Row, ...], start: int, end: int, covered: set[tuple[int, int]]) -> Block:
    chosen, first = rows[start:end], rows[start]
    count = chosen[-1].address + chosen[-1].width - first.address
    whole = all((first.function, first.address + n) in covered for n in range(count))
    return Block(
        first.function, first.address, count, tuple(range(start, end)),
        tuple(Field(row.address - first.address, row.wire, row.order == "little") for row in chosen),
        safe=whole and not any(row.optional for row in chosen),
        optional=all(row.optional for row in chosen),
    )  # fmt: skip


def char_ms(baud: int, parity: str, stop_bits: int) -> float:
    """Time of one character on the line: start, 8 data, parity, stop bits."""
    return (9 + (parity != "N") + stop_bits) / baud * 1000


def silence_ms(baud: int, parity: str, stop_bits: int) -> float:
    """t3.5, the pause that ends a frame; fixed at 1.75 ms above 19200 Bd."""
    return 1.75 if baud > 19200 else 3.5 * char_ms(baud, parity, stop_bits)


def rtu_ms(
    plan: ReadPlan, baud: int, parity: str, stop_bits: int, turnaround_ms: float = TURNAROUND_MS
) -> float:
    """Time that a poll takes on a serial line: per block (13 + 2n)·tc + 2·t3.5 + turnaround."""
    tc, pause = char_ms(baud, parity, stop_bits), silence_ms(baud, parity, stop_bits)
    return sum((13 + 2 * block.count) * tc + 2 * pause + turnaround_ms for block in plan.blocks)


def tcp_ms(plan: ReadPlan, request_ms: float = TCP_REQUEST_MS) -> float:
    """Estimate for a network: requests × `request_ms`."""
    return len(plan.blocks) * request_ms


def paying_gap(baud: int, parity: str, stop_bits: int, turnaround_ms: float = TURNAROUND_MS) -> int:
    """The widest gap, in registers, that costs less than a further request on this line."""
    tc, pause = char_ms(baud, parity, stop_bits), silence_ms(baud, parity, stop_bits)
    return min(MAX_REGISTERS, int((13 * tc + 2 * pause + turnaround_ms) / (2 * tc)))
