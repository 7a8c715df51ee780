"""Where the shipped data lies, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path


def data_dir(name: str) -> Path:
    """Directory `config` or `systemd`: beside the packages in a checkout, inside the wheel otherwise."""
    here = Path(__file__).resolve().parent
    packaged = here / "_data" / name
    return packaged if packaged.is_dir() else here.parent / name
