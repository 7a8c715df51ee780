"""Engine: samples in, closed intervals and continuity out; running figures; snapshot and restore.

No I/O, no clock. One Engine belongs to one thread. Meters are independent of each other, and any batching of the
same samples gives the same rows. Per meter, samples come in time order; see `ingest` for what comes late.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from engine import records, snapshot
from engine.interval import IntervalRow, Part, Running
from engine.jit import Kernels, load, warm_up
from engine.kernels import DONE, POOL_LOW, QUARTER_MS
from engine.sample import Closed, Continuity, DeviceConfig, Mode, Sample
from engine.snapshot import snapshot_interval_ms
from engine.state import State
from engine.steps import GAP, GONE, LATE, LIVE, NEVER, UNKNOWN

__all__ = ["Closed", "Continuity", "DeviceConfig", "Engine", "Mode", "Sample", "snapshot_interval_ms", "warm_up"]

BATCH_MAX = 256  # samples per kernel call; more are taken in turns
ROWS_MAX = 512
NOTES_PER_SAMPLE = 12
_KINDS = ("", "counter_rollover", "counter_reset", "counter_jump", "counter_glitch", "counter_lost", "gap", "late")
_QUANTITIES = ("active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export")
_BITS = np.arange(records.FLAG_BITS)
_PACK = struct.Struct("<9q").pack_into


class Engine:
    """The energy ledger of all meters of a gateway.

    `energy_interval_ms` divides 15 minutes. `kernels` is for tests: `jit.load("python")` is the oracle.
    Raises ValueError on a bad configuration.
    """

    def __init__(
        self, devices: Sequence[DeviceConfig], energy_interval_ms: int, *, kernels: Kernels | None = None
    ) -> None:
        if energy_interval_ms <= 0 or QUARTER_MS % energy_interval_ms:
            raise ValueError(f"energy interval {energy_interval_ms} ms does not divide 15 minutes")
        self.devices = tuple(devices)
        self.interval_ms = energy_interval_ms
        self.restarted: tuple[str, ...] = ()  # meters that `restore` knows and begins anew: another mode or line
        self._kernels = kernels or load()
        self._index = {device.meter: i for i, device in enumerate(devices)}
        if len(self._index) != len(devices):
            raise ValueError("two devices with one meter id")
        self._state = State(devices, energy_interval_ms)
        self._samples = np.zeros(BATCH_MAX, records.SAMPLE)
        self._figures: Any = np.zeros(1, records.FIGURES)[0]
        self._rows = np.zeros(ROWS_MAX, records.ROW)
        self._notes = np.zeros(BATCH_MAX * NOTES_PER_SAMPLE, records.NOTE)

    def ingest(self, samples: Iterable[Sample]) -> Closed:
        """Take samples in order of time (per meter). Raises KeyError for a meter that is not configured.

        A register whose time is not after the last one of its kind is late: it is not counted, only reported
        (kind "late", one per meter and call); an exact repetition is ignored in silence. A sample that moves no
        counter and is not newer than all before it brings its flags to nothing either.
        """
        closed = Closed()
        source = iter(samples)
        while chunk := list(islice(source, BATCH_MAX)):
            self._pack(chunk)
            self._run(len(chunk), closed)
        return closed

    def _pack(self, chunk: list[Sample]) -> None:
        buffer, index, unknown, offset = self._samples.view("u1").data, self._index, UNKNOWN, 0
        for s in chunk:
            a, b, c, d = s.import_mwh, s.export_mwh, s.reactive_import_mvarh, s.reactive_export_mvarh
            p, q = s.power_mw, s.reactive_mvar
            _PACK(
                buffer, offset, index[s.meter], s.t_ms, s.flags,
                unknown if a is None else a, unknown if b is None else b, unknown if c is None else c,
                unknown if d is None else d, unknown if p is None else p, unknown if q is None else q,
            )  # fmt: skip
            offset += 72

    def _run(self, count: int, closed: Closed) -> None:
        state, rows, notes = self._state, self._rows, self._notes
        book = state.book
        book["cursor"], book["notes_n"], outcome = 0, 0, POOL_LOW
        while outcome != DONE:
            book["rows_n"] = 0
            outcome = self._kernels.ingest(
                self._samples, count, state.devices, state.counters, state.pool, book, state.quarters, rows, notes
            )
            if book["rows_n"]:
                closed.intervals.extend(self._row(*fields) for fields in rows[: book["rows_n"]].tolist())
            if outcome == POOL_LOW:
                state.grow()
        if book["notes_n"]:
            self._report(notes[: book["notes_n"]].tolist(), closed.continuity)

    def _row(
        self, device: int, start: int, energy: list[int], demand: int, valid: int, due: int, flags: int,
        part_n: list[int], part_mwh: list[int],
    ) -> IntervalRow:  # fmt: skip
        a, b, c, d = (_known(int(value)) for value in energy)  # a sub-array stays numpy in tolist()
        parts = _parts(flags, part_n, part_mwh)
        meter, seconds = self.devices[device].meter, self.interval_ms // 1000
        return IntervalRow(meter, start, seconds, a, b, c, d, _known(demand), valid, due, flags, parts)

    def _report(self, notes: list[tuple[int, ...]], out: list[Continuity]) -> None:
        late = {c.meter: c for c in out if c.kind == "late"}
        for device, t, kind, counter, before, after, energy, until in notes:
            meter = self.devices[device].meter
            if kind == LATE:
                if meter not in late:
                    late[meter] = Continuity(meter, t, "late", data={"readings": 0})
                    out.append(late[meter])
                late[meter].data["readings"] += 1
            elif kind == GAP:
                data = {"seconds": (until - t) // 1000, "until_ms": until}
                out.append(Continuity(meter, t, "gap", data=data))
            else:
                net = self.devices[device].mode == "net"
                quantity = "active_energy_net" if net and counter == 0 else _QUANTITIES[counter]
                data = {"energy_mwh": energy, "until_ms": until} if kind != GONE else {"until_ms": until}
                out.append(Continuity(meter, t, _KINDS[kind], quantity, _known(before), _known(after), data))

    def clock_went_back(self, ms: int) -> None:
        """The clock of the samples was set back by `ms`; call it between the last sample before and the first after.

        Samples from the time that is shown twice are late. The first one after it brings the energy of all of it
        to its interval, flagged est_linear and questionable; a quarter hour with such a step has no demand.
        Raises ValueError if `ms` is negative.
        """
        if ms < 0:
            raise ValueError(f"the clock cannot go back by {ms} ms")
        self._state.set_back(ms)

    def running(self, meter: str, since_ms: int) -> Running:
        """Energy since `since_ms`, open interval included; demand of the running 15-minute block so far.

        Raises KeyError, and ValueError if `since_ms` is off the quarter-hour grid. Further back than 32 hours
        the energies are None.
        """
        if since_ms % QUARTER_MS:
            raise ValueError(f"running figures begin at a quarter hour, not at {since_ms} ms")
        state, figures = self._state, self._figures
        d = self._index[meter]
        self._kernels.figures(d, state.devices, state.counters, state.pool, state.quarters, since_ms, figures)
        energy, demand, power = figures.item()
        a, b, c, e = map(_known, energy.tolist())
        return Running(since_ms, a, b, c, e, _known(demand), _known(power))

    def open_block(self, meter: str) -> IntervalRow | None:
        """What was counted after the last closed interval, None before the first counter reading.

        It begins where the next row will begin; `seconds` reaches to the end of the newest reading's interval,
        so it is more than one interval while something is pending. Raises KeyError.
        """
        state, d = self._state, self._index[meter]
        device = state.devices[d]
        if device["next_start"] == NEVER:
            return None
        start, length = int(device["next_start"]), self.interval_ms
        end = max(int(device["seen"]) // length * length, start) + length
        counters = state.counters[4 * d : 4 * d + 4]
        a, b, c, e = (int(c["cum"] - c["edge"]) if c["state"] == LIVE else None for c in counters)
        valid, flags, part_n, part_mwh = 0, 0, np.zeros_like(_BITS), np.zeros_like(_BITS)
        for r in state.open_intervals(d):
            valid, flags = valid + int(r["valid"]), flags | int(r["flags"])
            part_n, part_mwh = part_n + r["part_n"], part_mwh + r["part_mwh"]
            for k in np.flatnonzero(r["t1"] != NEVER):
                step = int(r["step_flags"][k])
                flags |= step
                if k == 0:
                    part_mwh += (step >> _BITS & 1) * (r["c1"][0] - max(r["c0"][0], counters[0]["edge"]))
        poll = int(device["poll"])
        due = (end - 1) // poll - (start - 1) // poll
        parts = _parts(flags, part_n.tolist(), part_mwh.tolist())
        return IntervalRow(meter, start, (end - start) // 1000, a, b, c, e, None, valid, due, flags, parts)

    def snapshot(self) -> bytes:
        """The whole state, the same bytes for the same history; for `restore`."""
        return snapshot.dump(self._state, self.devices, self.interval_ms)

    @classmethod
    def restore(
        cls, data: bytes, devices: Sequence[DeviceConfig], energy_interval_ms: int, *,
        kernels: Kernels | None = None,
    ) -> Engine:  # fmt: skip
        """An engine that goes on where `data` was taken.

        Meters are matched by id: new ones start empty, missing ones are dropped. Those whose mode or line is
        another one start empty too, their next reading is a baseline; `restarted` names them.
        With another energy interval the totals stay exact and the open block is spread evenly. Raises
        ValueError if `data` is damaged or of another layout version.
        """
        engine = cls(devices, energy_interval_ms, kernels=kernels)
        engine.restarted = snapshot.load(
            data, engine._state, engine.devices, energy_interval_ms, engine._kernels.extend
        )
        return engine


def _known(value: int) -> int | None:
    return None if value == UNKNOWN else value


def _parts(flags: int, part_n: list[Any], part_mwh: list[Any]) -> dict[int, Part]:
    if not flags:
        return {}
    return {1 << b: Part(int(part_n[b]), int(part_mwh[b])) for b in range(records.FLAG_BITS) if flags >> b & 1}
