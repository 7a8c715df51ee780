"""The records that the kernels work on: numpy structured types, no arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]
COUNTERS = 4  # import, export, reactive import, reactive export
FLAG_BITS = 18
CANDIDATES = 4  # the first odd reading and the three that confirm it
QUARTERS = 128  # ring of closed quarter-hour borders per device: 32 hours, more than the longest local day

_I8 = "<i8"

SAMPLE = np.dtype(
    [("device", _I8), ("t", _I8), ("flags", _I8), ("value", _I8, (COUNTERS,)), ("power", _I8), ("reactive", _I8)]
)  # fmt: skip

DEVICE = np.dtype([
    ("poll", _I8), ("rated", _I8), ("mode", _I8), ("patience", _I8),  # from the configuration
    ("basis", _I8),  # power that physics is judged by just now [mW]
    ("next_start", _I8),  # first interval that is not closed; NEVER before the first counter
    ("head", _I8), ("tail", _I8), ("open_n", _I8),  # list of open intervals that hold readings
    ("seen", _I8), ("heard", _I8), ("tick", _I8),  # newest sample, newest import value, its poll tick
    ("power", _I8), ("power_t", _I8),
    ("quarter_edge", _I8), ("quarter_whole", _I8),  # import at the border of the running demand block
    ("restart", _I8),
])  # fmt: skip

COUNTER = np.dtype([
    ("tracked", _I8), ("resolution", _I8), ("modulus", _I8),  # from the configuration
    ("state", _I8), ("base_t", _I8), ("base_cum", _I8),  # where counting began
    ("t", _I8), ("raw", _I8), ("cum", _I8), ("rest", _I8),  # last accepted reading, energy counted so far
    ("edge", _I8),  # `cum` at the device's next_start
    ("changed", _I8), ("heard", _I8), ("last", _I8),  # last movement; last reading, accepted or not
    ("spare_ms", _I8), ("overlap_t", _I8),  # time that the clock shows twice and the next step holds; last such step
    ("n", _I8), ("tries", _I8), ("doubt_t", _I8),  # candidates of a pending decision
    ("cand_t", _I8, (CANDIDATES,)), ("cand_v", _I8, (CANDIDATES,)), ("cand_f", _I8, (CANDIDATES,)),
])  # fmt: skip

# An open interval that holds at least one reading. (t0, c0) -> (t1, c1) is the step over its start border.
OPEN = np.dtype([
    ("start", _I8), ("next", _I8), ("valid", _I8), ("flags", _I8), ("import_flags", _I8),
    ("part_n", _I8, (FLAG_BITS,)), ("part_mwh", _I8, (FLAG_BITS,)),
    ("t0", _I8, (COUNTERS,)), ("c0", _I8, (COUNTERS,)), ("t1", _I8, (COUNTERS,)), ("c1", _I8, (COUNTERS,)),
    ("step_flags", _I8, (COUNTERS,)),
])  # fmt: skip

QUARTER = np.dtype([("t", _I8), ("cum", _I8, (COUNTERS,))])

ROW = np.dtype([
    ("device", _I8), ("start", _I8), ("energy", _I8, (COUNTERS,)), ("demand", _I8), ("valid", _I8), ("due", _I8),
    ("flags", _I8), ("part_n", _I8, (FLAG_BITS,)), ("part_mwh", _I8, (FLAG_BITS,)),
])  # fmt: skip

NOTE = np.dtype([
    ("device", _I8), ("t", _I8), ("kind", _I8), ("counter", _I8), ("before", _I8), ("after", _I8),
    ("energy", _I8), ("until", _I8),
])  # fmt: skip

FIGURES = np.dtype([("energy", _I8, (COUNTERS,)), ("demand", _I8), ("power", _I8)])

BOOK = np.dtype([
    ("length", _I8), ("cursor", _I8), ("phase", _I8), ("rows_n", _I8), ("notes_n", _I8), ("free", _I8), ("free_n", _I8),
])  # fmt: skip


def free_list(count: int, first: int = 0) -> Records:
    """`count` unused open-interval records, linked; `first` is the index of the first in its pool."""
    records: Any = np.zeros(count, OPEN)
    records["next"] = np.arange(first + 1, first + count + 1)
    records["next"][-1] = -1
    return records  # type: ignore[no-any-return]
