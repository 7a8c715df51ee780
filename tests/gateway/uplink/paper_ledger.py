"""A ledger on one sheet: `ledger.db` holds {"epoch", "last": {stream: seq}}, every row follows from its seq.

It lets a test grow a ledger of any size, change its epoch or its history, and share it between processes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from engine.errors import StoreError

VALUES = {f"voltage_l{n}_n_v": 230.1 + n for n in range(1, 4)} | {f"q{n}_w": 12345.678 + n for n in range(20)}


def write(store: Path, last: dict[str, int], *, epoch: int = 1_700_000_000_000, history: str = "a") -> None:
    """Replace the sheet. `history` marks the rows, as a restored ledger would have others."""
    sheet = store / "sheet.tmp"
    sheet.write_text(json.dumps({"epoch": epoch, "last": last, "history": history}))
    os.replace(sheet, store / "ledger.db")


def row(stream: str, seq: int, history: str = "a") -> dict[str, Any]:
    t = f"2026-11-20T08:{seq // 60 % 60:02}:{seq % 60:02}.{seq % 1000:03}Z"
    if stream == "readings":
        meter = f"m-{seq % 5}-{history}"
        return {"seq": seq, "meter": meter, "t": t, "values": {**VALUES, "n": seq}, "quality": []}
    return {"seq": seq, "t": t, "kind": "boot", "severity": "info", "meter": history, "data": {"n": seq}}


class PaperLedger:
    """What LedgerReader is to the uplink."""

    def __init__(self, store: Path) -> None:
        self._file = store / "ledger.db"

    def _sheet(self) -> dict[str, Any]:
        try:
            sheet: dict[str, Any] = json.loads(self._file.read_text())
        except FileNotFoundError as error:
            raise StoreError(f"{self._file} does not exist yet") from error
        return sheet

    @property
    def epoch(self) -> int:
        return int(self._sheet()["epoch"])

    def last_seq(self, stream: str) -> int:
        return int(self._sheet()["last"].get(stream, 0))

    def rows(self, stream: str, first: int, last: int, limit: int) -> list[dict[str, Any]]:
        sheet = self._sheet()
        last = min(last, first + limit - 1, sheet["last"].get(stream, 0))
        return [row(stream, seq, sheet["history"]) for seq in range(first, last + 1)]

    def close(self) -> None:
        """Nothing is held open."""
