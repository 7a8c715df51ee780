"""The kernels in machine code, from numba's cache where there is one, or as plain Python (the oracle of the tests).

The functions of steps, continuity and kernels are put into one fresh namespace, so that all three ways run the
identical source. The cache is addressed by content: a compiled kernel carries the digest of all three files in its
name, so a change in any of them can never meet a stale one.
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, Literal

import numba
import numpy as np

from engine import continuity, kernels, records, steps

Kernel = Callable[..., Any]
Mode = Literal["cached", "uncached", "python"]
_ENTRIES = ("ingest", "figures", "extend")
_CACHE_FAULTS = (RuntimeError, OSError, EOFError, pickle.PickleError, AttributeError, ImportError, KeyError, IndexError,
                 TypeError, ValueError)  # fmt: skip


class Kernels:
    """`ingest`, `figures` and `extend` in one of three modes; `mode` says which it became."""

    def __init__(self, mode: Mode) -> None:
        space: dict[str, Any] = {"__name__": "engine.kernels", "__builtins__": __builtins__}
        functions: list[FunctionType] = []
        digest = hashlib.sha256()
        for module in (steps, continuity, kernels):
            digest.update(inspect.getsource(module).encode())
            for name, value in vars(module).items():
                if inspect.isfunction(value) and value.__module__ == module.__name__:
                    functions.append(value)
                elif isinstance(value, int):
                    space[name] = value
        for function in functions:
            copy = FunctionType(function.__code__, space, function.__name__)
            copy.__qualname__ = f"{function.__name__}_{digest.hexdigest()[:12]}"
            space[function.__name__] = copy
        if mode != "python":
            for function in functions:
                entry = mode == "cached" and function.__name__ in _ENTRIES  # a cached entry brings its helpers along
                space[function.__name__] = numba.njit(space[function.__name__], nogil=True, cache=entry)
        self.mode = mode
        self.ingest: Kernel = space["ingest"]
        self.figures: Kernel = space["figures"]
        self.extend: Kernel = space["extend"]


@cache
def load(mode: Mode = "cached") -> Kernels:
    """The kernels, ready to run. Falls back from "cached" to "uncached" when the cache is not usable."""
    if mode == "python":
        return Kernels(mode)
    try:
        found = Kernels(mode)
        _first_call(found)
    except _CACHE_FAULTS:
        if mode == "uncached":
            raise
        return load("uncached")
    return found


def warm_up(progress: Callable[[str], None] | None = None) -> Mode:
    """Compile all kernels, or load them from NUMBA_CACHE_DIR; says in `progress` what takes time.

    Returns "cached", or "uncached" if the cache directory is missing, not writable or damaged: then every
    start compiles again (about ten seconds).
    """
    tell = progress or (lambda _line: None)
    tell("preparing the energy kernels (compiling takes some seconds the first time)")
    mode = load().mode
    tell("energy kernels ready" + ("" if mode == "cached" else ", without a cache: NUMBA_CACHE_DIR is not usable"))
    return mode


def _first_call(found: Kernels) -> None:
    devices, counters = np.zeros(1, records.DEVICE), np.zeros(4, records.COUNTER)
    pool, quarters = records.free_list(4), np.zeros((1, records.QUARTERS), records.QUARTER)
    book = np.zeros(1, records.BOOK)[0]
    rows, notes, samples = np.zeros(1, records.ROW), np.zeros(1, records.NOTE), np.zeros(1, records.SAMPLE)
    found.ingest(samples, 0, devices, counters, pool, book, quarters, rows, notes)
    found.figures(0, devices, counters, pool, quarters, 0, np.zeros(1, records.FIGURES)[0])
    devices[0]["poll"], devices[0]["tail"], devices[0]["head"], book["length"] = 1000, -1, -1, 1000
    found.extend(devices[0], counters[0], 0, pool, book, 0, 0, 0)
