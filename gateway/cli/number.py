"""Numbers of the command line."""

from __future__ import annotations

import argparse


def whole(text: str, low: int, high: int) -> int:
    """Decimal or 0x…, within bounds. Raises argparse's own error, which names the option."""
    try:
        value = int(text, 0)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return value
