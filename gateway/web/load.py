"""The load curve of a day: mean power on a regular grid, from closed interval rows, never from readings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.web.sources import Ledger

POINTS_MAX = 720
STEPS_S = (10, 30, 60, 300, 900, 3600)
HOUR_MS = 3_600_000
_DAY_FIRST = "select min(start_ms) as first from intervals where start_ms >= ? and start_ms < ?"
# Per step: net energy, time covered by it over all meters, and how many meters took part.
_SUMS = """
select (i.start_ms - ?) / ? as slot, count(distinct i.meter) as meters, sum(i.seconds) as seconds,
  sum(coalesce(i.import_mwh, 0) - coalesce(i.export_mwh, 0)) as mwh
from intervals i join meters m on m.num = i.meter
where i.start_ms >= ? and i.start_ms < ? and m.id in ({marks})
  and coalesce(i.import_mwh, i.export_mwh) is not null
  and not exists (select 1 from intervals n where n.start_ms = i.start_ms and n.meter = i.meter
    and n.seconds = i.seconds and n.revision > i.revision)
group by slot order by slot
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean active power [W, + = import] per step from `since_ms` on; None = not known.

    `coverage` is the part of meters × time that is known, per step, cut to 3 decimals.
    """

    since_ms: int
    step_s: int
    mean_power_w: tuple[float | None, ...]
    coverage: tuple[float, ...]


def choose_step_s(interval_ms: int, extent_ms: int) -> int:
    """The finest step [s], a multiple of the energy interval, that draws `extent_ms` in a bounded curve."""
    interval_s = interval_ms // 1000
    fitting = [step for step in STEPS_S if step % interval_s == 0 and extent_ms <= step * 1000 * POINTS_MAX]
    return min(fitting, default=STEPS_S[-1])


def read_curve(ledger: Ledger, meters: Sequence[str], from_ms: int, to_ms: int, interval_ms: int) -> Curve:
    """The sum of `meters` from the first interval that starts in the span. Raises StoreError."""
    first_ms = ledger.query(_DAY_FIRST, (from_ms, to_ms))[0]["first"]
    if first_ms is None or not meters:
        return Curve(from_ms, choose_step_s(interval_ms, to_ms - from_ms), (), ())
    step_s = choose_step_s(interval_ms, to_ms - first_ms)
    since_ms = first_ms - (first_ms - from_ms) % (step_s * 1000)
    sql = _SUMS.format(marks=", ".join("?" * len(meters)))
    rows: list[dict[str, Any]] = []
    # Hour by hour, so that no read transaction lasts (DESIGN §5); steps divide the hour.
    for start_ms in range(from_ms, to_ms, HOUR_MS):
        end_ms = min(start_ms + HOUR_MS, to_ms)
        if end_ms > since_ms:
            rows += ledger.query(sql, (since_ms, step_s * 1000, max(start_ms, since_ms), end_ms, *meters))
    return build_curve(rows, since_ms, step_s, len(meters))


def build_curve(rows: Iterable[dict[str, Any]], since_ms: int, step_s: int, meters: int) -> Curve:
    """`rows`: slot, meters, seconds, mwh. A last step that still fills is left to the live value."""
    known = {row["slot"]: row for row in rows}
    power: list[float | None] = []
    coverage: list[float] = []
    for slot in range(max(known, default=-1) + 1):
        row = known.get(slot)
        if row is None:
            power.append(None)
            coverage.append(0.0)
        else:
            watt = row["mwh"] * 3600 * row["meters"] / (1000 * row["seconds"])
            power.append(round(watt, 3))
            coverage.append(min(1000, row["seconds"] * 1000 // (meters * step_s)) / 1000)
    if len(power) > 1 and coverage[-1] < min(1.0, coverage[-2]):
        del power[-1], coverage[-1]
    return Curve(since_ms, step_s, tuple(power), tuple(coverage))
