"""The engine's memory: record arrays that belong together, and the pool of open intervals that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engine import records
from engine.kernels import DEFAULT_MW, STEP_MAX_MS
from engine.sample import DeviceConfig
from engine.steps import INTEGRATE, LIVE, NET, NEVER, UNKNOWN

_MODES = {"counters": 0, "net": 1, "integrate": 2}
_PATIENCE_MS, _PATIENCE_INTERVALS, _PATIENCE_POLLS = 3_600_000, 4, 8


class State:
    """Everything that `ingest` reads and writes; empty at first."""

    def __init__(self, configs: Sequence[DeviceConfig], length_ms: int) -> None:
        count = len(configs)
        self.devices = np.zeros(count, records.DEVICE)
        self.counters = np.zeros(records.COUNTERS * count, records.COUNTER)
        self.quarters = np.zeros((count, records.QUARTERS), records.QUARTER)
        self.pool = records.free_list(64 + 4 * count)
        self.book: Any = np.zeros(1, records.BOOK)[0]
        self.book["length"], self.book["free_n"] = length_ms, len(self.pool)
        self.quarters["t"] = NEVER
        for name in ("next_start", "seen", "heard", "tick", "power_t"):
            self.devices[name] = NEVER
        self.devices["power"] = UNKNOWN
        self.counters["heard"] = NEVER
        self.devices["head"] = self.devices["tail"] = -1
        self.configure(configs)

    def configure(self, configs: Sequence[DeviceConfig]) -> None:
        """Write what comes from the configuration into the records. Raises ValueError."""
        length = int(self.book["length"])
        for d, config in enumerate(configs):
            if config.interval_ms <= 0:
                raise ValueError(f"{config.meter}: poll interval {config.interval_ms} ms")
            device = self.devices[d]
            rated = config.rated_power_mw or 0
            device["poll"], device["mode"], device["rated"] = config.interval_ms, _MODES[config.mode], rated
            device["basis"] = rated or DEFAULT_MW
            device["patience"] = max(
                _PATIENCE_MS, _PATIENCE_INTERVALS * length, _PATIENCE_POLLS * config.interval_ms
            )
            for k in range(records.COUNTERS):
                counter = self.counters[records.COUNTERS * d + k]
                counter["tracked"] = config.tracked[k] or config.mode != "counters"
                counter["modulus"] = config.moduli_mwh[k]
                counter["resolution"] = max(1, config.resolution_mwh[k])

    def set_back(self, ms: int) -> None:
        """The clock was set back: allow the next step of every register that much more time."""
        judged = self.counters["state"] == LIVE
        judged &= np.repeat(self.devices["mode"] != INTEGRATE, records.COUNTERS)
        judged[1 :: records.COUNTERS] &= self.devices["mode"] != NET  # fed by the net register
        spare = self.counters["spare_ms"][judged]
        self.counters["spare_ms"][judged] = np.minimum(spare + min(ms, STEP_MAX_MS), STEP_MAX_MS)
        self.counters["changed"][judged] -= ms

    def grow(self) -> None:
        """Double the pool; the new records go to the front of the free list."""
        first = len(self.pool)
        more = records.free_list(first, first)
        more["next"][-1] = self.book["free"]
        self.pool = np.concatenate([self.pool, more])
        self.book["free"] = first
        self.book["free_n"] += first

    def open_intervals(self, d: int) -> Iterator[Any]:
        """The open interval records of a device, in time order."""
        i = int(self.devices[d]["head"])
        while i >= 0:
            yield self.pool[i]
            i = int(self.pool[i]["next"])

    def adopt(self, d: int, intervals: records.Records) -> None:
        """Append open interval records to a device whose list is empty."""
        while len(intervals) >= self.book["free_n"]:
            self.grow()
        device, previous = self.devices[d], -1
        device["head"] = device["tail"] = -1
        for interval in intervals:
            i = int(self.book["free"])
            self.book["free"] = self.pool[i]["next"]
            self.pool[i] = interval
            self.pool[i]["next"] = -1
            if previous < 0:
                device["head"] = i
            else:
                self.pool[previous]["next"] = i
            device["tail"] = previous = i
        self.book["free_n"] -= len(intervals)
        device["open_n"] = len(intervals)
