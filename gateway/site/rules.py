"""What is wrong between the tables of site.toml: ids, wires, addresses, parents. Pure.

Works on the raw tables, not on the model, so that one mistyped meter does not hide what is wrong with the
others; what a rule cannot read has been refused by the model already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.site.fields import ID
from gateway.site.plant import ADDRESSES, TCP_PORTS
from gateway.site.problem import Problem, nearest
from gateway.site.settings import Settings

Raw = Mapping[str, Any]


def rules(buses: Sequence[Raw], meters: Sequence[Raw]) -> list[Problem]:
    """Every problem between the tables `[[bus]]` and `[[meter]]`, in the order of the file."""
    return [
        *_ids("bus", buses),
        *_ids("meter", meters),
        *_wires(buses, meters),
        *_known_buses(buses, meters),
        *_addresses(buses, meters),
        *_parents(meters),
    ]


def _text(table: Raw, key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


def _ids(kind: str, tables: Sequence[Raw]) -> Iterable[Problem]:
    first: dict[str, int] = {}
    for index, table in enumerate(tables):
        id_ = _text(table, "id")
        if id_ and first.setdefault(id_, index) != index:
            taken = {_text(t, "id") for t in tables}
            free = next(n for n in range(2, len(tables) + 3) if f"{id_}-{n}" not in taken)
            other = f'another, e.g. "{id_}-{free}"'
            yield Problem((kind, index, "id"), f'{kind} id "{id_}" is taken already', other)


def _endpoint(table: Raw) -> str:
    """The wire of a bus, or of a meter with a host of its own; "" where it cannot be told."""
    if _text(table, "device"):
        return _text(table, "device")
    port = table.get("port") or TCP_PORTS.get(_text(table, "protocol"))
    return f"{_text(table, 'host').lower()}:{port}" if _text(table, "host") and port else ""


def _wires(buses: Sequence[Raw], meters: Sequence[Raw]) -> Iterable[Problem]:
    """One wire has one bus: two of them would talk into each other."""
    owner: dict[str, str] = {}
    for index, bus in enumerate(buses):
        wire = _endpoint(bus)
        if wire and wire in owner:
            key = "device" if _text(bus, "device") else "host"
            yield Problem(
                ("bus", index, key),
                f'bus "{_text(bus, "id")}": {wire} belongs to bus "{owner[wire]}" already',
                f'bus = "{owner[wire]}" in its meters, and no second [[bus]]',
            )
        elif wire:
            owner[wire] = _text(bus, "id")
    for index, meter in enumerate(meters):
        wire = _endpoint(meter) if "bus" not in meter else ""
        if wire in owner:
            yield Problem(
                ("meter", index, "host"),
                f'meter "{_text(meter, "id")}": {wire} is bus "{owner[wire]}"',
                f'bus = "{owner[wire]}" instead of host, port and protocol',
            )


def _known_buses(buses: Sequence[Raw], meters: Sequence[Raw]) -> Iterable[Problem]:
    known = list(dict.fromkeys(_text(bus, "id") for bus in buses if _text(bus, "id")))
    for index, meter in enumerate(meters):
        bus = _text(meter, "bus")
        if bus and re.search(ID, bus) and bus not in known:
            add = f'[[bus]] with id = "{bus}"'
            instead = nearest(bus, known) or (f"{_list(known)}, or {add}" if known else add)
            message = f'meter "{_text(meter, "id")}": unknown bus "{bus}"'
            yield Problem(("meter", index, "bus"), message, instead)


def _addresses(buses: Sequence[Raw], meters: Sequence[Raw]) -> Iterable[Problem]:
    by_id = {_text(bus, "id"): bus for bus in buses}
    first: dict[tuple[str, int, int], str] = {}
    for index, meter in enumerate(meters):
        id_, address, base = _text(meter, "id"), meter.get("address"), meter.get("ioa_base", 0)
        wire = by_id.get(_text(meter, "bus"), {}) if "bus" in meter else meter
        protocol = _text(wire, "protocol")
        if protocol in ADDRESSES and protocol != "iec104" and "ioa_base" in meter:
            message = f'meter "{id_}": ioa_base belongs to iec104, not to {protocol}'
            yield Problem(("meter", index, "ioa_base"), message, "no ioa_base")
        if not isinstance(address, int) or isinstance(address, bool) or not isinstance(base, int):
            continue
        low, high = ADDRESSES.get(protocol, (0, 65534))
        if not low <= address <= high and 0 <= address <= 65534:
            where = f'meter "{id_}": address {address} does not exist on {protocol}'
            yield Problem(("meter", index, "address"), where, f"{low} to {high}")
        if not _endpoint(wire):
            continue
        key = (_endpoint(wire), address, base if protocol == "iec104" else 0)
        if first.setdefault(key, id_) != id_:
            also = f" and ioa_base {base}" if protocol == "iec104" else ""
            yield Problem(
                ("meter", index, "address"),
                f'meter "{id_}": address {address}{also} on this bus is meter "{first[key]}" already',
                "the address that the device shows in its own menu"
                + (", or another ioa_base" if protocol == "iec104" else ""),
            )


def own_bus_clashes(settings: Settings) -> list[Problem]:
    """A meter with a host of its own whose bus would get the id of another wire."""
    problems: list[Problem] = []
    for index, meter in enumerate(settings.meter):
        port = meter.port or TCP_PORTS.get(meter.protocol or "")
        bus = settings.bus_of(meter)
        if meter.host and settings.buses[bus].endpoint != f"{meter.host.lower()}:{port}":
            message = f'meter "{meter.id}": its own bus would be called "{bus}", which is another wire'
            problems.append(Problem(("meter", index, "host"), message, "a [[bus]], and bus = its id"))
    return problems


def _parents(meters: Sequence[Raw]) -> Iterable[Problem]:
    parent: dict[str, str] = {}
    for meter in meters:
        parent.setdefault(_text(meter, "id"), _text(meter, "parent"))
    told: set[str] = set()
    for index, meter in enumerate(meters):
        id_, above = _text(meter, "id"), _text(meter, "parent")
        if not id_ or not above or not re.search(ID, above):
            continue
        where = ("meter", index, "parent")
        if above not in parent:
            near = nearest(above, [p for p in parent if p and p != id_])
            message = f'meter "{id_}": unknown parent "{above}"'
            yield Problem(where, message, near or "the id of a meter, or no parent")
            continue
        loop = _loop(id_, parent) if parent[id_] == above else []
        if loop and not told & set(loop):
            told |= set(loop)
            chain = " → ".join([*loop, loop[0]])
            message = f'meter "{id_}": parents go round in a circle: {chain}'
            yield Problem(where, message, "no parent at the topmost one")


def _loop(start: str, parent: Mapping[str, str]) -> list[str]:
    """The circle that `start` is part of, or []."""
    path = [start]
    while (above := parent.get(path[-1], "")) and above not in path:
        path.append(above)
    return path if above == start else []


def _list(words: list[str]) -> str:
    return ", ".join(f'"{w}"' for w in words[:5]) + (", …" if len(words) > 5 else "")
