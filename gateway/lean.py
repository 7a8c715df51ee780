"""sqlite-utils takes numpy along where it is installed: 11 MB that uplink and web have no use for."""

from __future__ import annotations

import sys


def without_numpy() -> None:
    """Call before anything imports sqlite-utils: an import of numpy then fails, and sqlite-utils does without."""
    sys.modules.setdefault("numpy", None)  # type: ignore[arg-type]
