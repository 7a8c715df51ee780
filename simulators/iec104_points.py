"""The points of a simulated IEC 104 station and the ASDUs that report them. No socket here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from simulators.iec104_frames import CY, TYPES, cp56time2a, object_asdus, value_bytes

Key = tuple[int, int]  # common address, object address


@dataclass(frozen=True, slots=True)
class PointSource:
    """An information object. `value` gives its present value: a float; a scaled int; a normalized -1 … 1;
    or a counter's total count ever, which is shown modulo `modulus`."""

    kind: Literal["float", "scaled", "normalized", "counter"]
    value: Callable[[], float]
    modulus: int = 1 << 31


@dataclass(slots=True)
class ShownCount:
    """What was sent of one counter: first and last count as on the wire, `delivered` across roll-overs."""

    first: int
    last: int
    delivered: int
    total: int  # unwrapped, at the last report


@dataclass(slots=True)
class StationFaults:
    """What the station does wrong while set."""

    silent: bool = False  # reads and writes nothing, the connection stays
    confirm: bool = True  # False: no activation confirmation and no termination
    cause: int | None = None  # the cause of every report, instead of the right one
    quality: int = 0  # bits set in every quality octet: IV NT SB BL OV; of counters IV CA CY
    tag_offset_ms: int = 0
    tag_invalid: bool = False


class PointBook:
    """All points of a station. `clock_ms` gives UTC ms for time tags; `shown` records the counters sent."""

    def __init__(
        self, points: Mapping[Key, PointSource], clock_ms: Callable[[], int], faults: StationFaults
    ) -> None:
        self.points = dict(points)
        self.shown: dict[Key, ShownCount] = {}
        self._clock_ms = clock_ms
        self._faults = faults
        self._frozen: dict[Key, int] = {}
        self._sequence: dict[Key, int] = {}

    @property
    def addresses(self) -> list[int]:
        """The common addresses, ascending."""
        return sorted({ca for ca, _ in self.points})

    def measured(self, ca: int) -> list[Key]:
        return [key for key, point in self.points.items() if key[0] == ca and point.kind != "counter"]

    def counters(self, ca: int) -> list[Key]:
        return [key for key, point in self.points.items() if key[0] == ca and point.kind == "counter"]

    def freeze(self, ca: int) -> None:
        """Hold the counters as they stand; the sequence number tells one freeze from the next."""
        for key in self.counters(ca):
            self._frozen[key] = int(self.points[key].value())
            self._sequence[key] = (self._sequence.get(key, 0) + 1) % 32

    def asdus(
        self, keys: Iterable[Key], cause: int, *, tagged: bool, tag_ms: int | None = None
    ) -> Iterator[bytes]:
        """The present (or frozen) values, by common address and type, with the faults in force."""
        if self._faults.cause is not None:
            cause = self._faults.cause

        def group(key: Key) -> tuple[int, int]:
            return key[0], TYPES[self.points[key].kind][tagged]

        for (ca, type_), members in groupby(sorted(keys, key=lambda key: (group(key), key)), key=group):
            tag = self._tag(tag_ms) if tagged else b""
            yield from object_asdus(type_, cause, ca, [(key[1], self._body(key) + tag) for key in members])

    def _tag(self, tag_ms: int | None) -> bytes:
        t_ms = self._clock_ms() if tag_ms is None else tag_ms
        return cp56time2a(t_ms + self._faults.tag_offset_ms, invalid=self._faults.tag_invalid)

    def _body(self, key: Key) -> bytes:
        point = self.points[key]
        if point.kind != "counter":
            return value_bytes(point.kind, point.value(), self._faults.quality)
        total = self._frozen[key] if key in self._frozen else int(point.value())
        carried = self._show(key, total, point.modulus)
        octet = self._sequence.get(key, 0) | (CY if carried else 0) | self._faults.quality
        return value_bytes("counter", total % point.modulus, octet)

    def _show(self, key: Key, total: int, modulus: int) -> bool:
        """Enter a count in the record; True if it rolled over since the last report."""
        shown = self.shown.get(key)
        if shown is None:
            self.shown[key] = ShownCount(total % modulus, total % modulus, 0, total)
            return False
        carried = total // modulus != shown.total // modulus
        shown.delivered += total - shown.total
        shown.last, shown.total = total % modulus, total
        return carried
