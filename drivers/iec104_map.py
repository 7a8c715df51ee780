"""Objects of an ASDU → sparse Answers of meters, by the points that their profiles name. Pure.

Several meters may share one common address: `ioa_base` is added to the addresses of the profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from drivers.bus import Answer, MeterPoint
from drivers.iec104_asdu import REPORTING, Asdu, Item
from drivers.profile import MeterProfile
from engine.errors import ConfigError
from engine.reading import Quality

DAY_MS = 86_400_000
TAG_AGE_MAX_MS = 31 * DAY_MS
TAG_AHEAD_MAX_MS = 10_000
NOT_TOPICAL = int(Quality.INVALID_DEVICE_FAULT | Quality.LAST_VALUE_HELD)
LEADING = "active_power"  # what stands for a meter without counters


def accepted_tag(tag_ms: int | None, now_ms: int) -> int | None:
    """The tag if it is valid and within -31 d … +10 s of `now_ms`, else None."""
    if tag_ms is None or not now_ms - TAG_AGE_MAX_MS <= tag_ms <= now_ms + TAG_AHEAD_MAX_MS:
        return None
    return tag_ms


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object belongs: a column of a meter, and the kind that the profile expects."""

    meter: str
    column: int
    kind: str


@dataclass(slots=True)
class MeterMap:
    """The points of one meter. `last` = flags of each column as last reported."""

    point: MeterPoint
    counters: frozenset[int]
    leading: frozenset[int]
    width: int
    last: dict[int, int] = field(default_factory=dict)

    def topical(self) -> bool:
        """Whether active power (any point, where the map has none) was reported and is not IV or NT."""
        return any(column in self.last and not self.last[column] & NOT_TOPICAL for column in self.leading)


@dataclass(slots=True)
class _Group:
    flags: int
    tag_ms: int | None
    columns: list[int | None]


class PointTable:
    """All meters of one station link. Raises ConfigError where two meters claim one address."""

    def __init__(self, points: Iterable[MeterPoint], profiles: Mapping[str, MeterProfile]) -> None:
        self.meters: dict[str, MeterMap] = {}
        self._places: dict[tuple[int, int], Place] = {}
        for point in points:
            self._add(point, profiles[point.profile])

    def _add(self, point: MeterPoint, profile: MeterProfile) -> None:
        rows = profile.selected()
        for column, row in enumerate(rows):
            at = (point.address, row.address + point.ioa_base)
            if other := self._places.get(at):
                raise ConfigError(
                    f"{other.meter} and {point.id} both claim object {at[1]} of common address {at[0]}",
                    hint="give one of the two another address or ioa_base in site.toml",
                )
            self._places[at] = Place(point.id, column, row.point)
        everything = frozenset(range(len(rows)))
        leading = frozenset(c for c in everything if rows[c].quantity == LEADING)
        counters = frozenset(c for c in everything if rows[c].point == "counter")
        self.meters[point.id] = MeterMap(point, counters, leading or everything, len(rows))

    @property
    def addresses(self) -> list[int]:
        """The common addresses, each once, ascending."""
        return sorted({meter.point.address for meter in self.meters.values()})

    def forget(self) -> None:
        """Nothing is known any more: the link was lost."""
        for meter in self.meters.values():
            meter.last.clear()

    def answers(self, asdu: Asdu, mono_ns: int, now_ms: int, discard: Callable[[str], None]) -> list[Answer]:
        """One Answer per meter, time and flags. `discard` is told of objects that are ours and no value."""
        groups: dict[tuple[str, int, int | None], list[_Group]] = {}
        for item in asdu.items:
            place = self._places.get((asdu.ca, item.ioa))
            if place is None:
                continue
            if why := _refused(asdu, place):
                discard(why)
                continue
            self._enter(groups, place, item, now_ms)
        return [
            Answer(meter, mono_ns, tuple(group.columns), group.flags, group.tag_ms)
            for (meter, _, _), found in groups.items()
            for group in found
        ]

    def _enter(
        self, groups: dict[tuple[str, int, int | None], list[_Group]], place: Place, item: Item, now_ms: int
    ) -> None:
        meter = self.meters[place.meter]
        flags, tag_ms = item.flags, None
        if item.tag is not None:
            tag_ms = accepted_tag(item.tag.t_ms, now_ms)
            if tag_ms is None:
                flags |= Quality.QUESTIONABLE
        meter.last[place.column] = flags
        found = groups.setdefault((place.meter, flags, tag_ms), [])
        # An object that comes twice with one time tag is two readings, the first one first.
        group = next((group for group in found if group.columns[place.column] is None), None)
        if group is None:
            group = _Group(flags, tag_ms, [None] * meter.width)
            found.append(group)
        group.columns[place.column] = item.raw


def _refused(asdu: Asdu, place: Place) -> str:
    """Why an object of ours is no value; empty if it is one."""
    if asdu.test:
        return "test message"
    if asdu.negative:
        return "negative confirmation"
    if asdu.cause not in REPORTING:
        return f"cause of transmission {asdu.cause}"
    if asdu.kind != place.kind:
        return f"type {asdu.type} where the profile says {place.kind}"
    return ""
