"""The kernels' cache: used when it can be, told when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine import jit

ROOT = Path(__file__).parents[2]
LINES = "from engine.jit import warm_up; print(warm_up(print))"


def warm(cache: Path) -> list[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LINES], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_cache_that_is_damaged_is_told_and_the_kernels_run_without_it(tmp_path: Path) -> None:
    assert warm(tmp_path)[-2:] == ["energy kernels ready", "cached"]
    entries = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert entries
    for path in entries:
        path.write_bytes(b"not a kernel")
    assert warm(tmp_path)[-2:] == ["energy kernels ready, without a cache: NUMBA_CACHE_DIR is not usable", "uncached"]


def test_machine_code_is_named_after_the_digest_of_all_its_sources() -> None:
    names = {jit.Kernels(mode).ingest.__qualname__ for mode in ("python", "python", "cached")}
    (name,) = names
    assert name.startswith("ingest_")
    assert len(name) == len("ingest_") + 12
