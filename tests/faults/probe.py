"""Outside probe: looks at ledger.db every 100 ms with nothing but sqlite3 and writes down what it saw.

One JSON line per row seen for the first time: [table, key, sha256 of the row]. Run as a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import time
from pathlib import Path

KEYS = {"commits": "num", "intervals": "seq", "events": "seq", "clock": "num", "boots": "boot_id"}


def digest(row: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(row).encode()).hexdigest()


def look(connection: sqlite3.Connection, seen: dict[str, int]) -> list[tuple[str, int, str]]:
    found = []
    for table, key in KEYS.items():
        for row in connection.execute(f"select {key}, * from {table} where {key} > ? order by {key}", (seen[table],)):
            found.append((table, row[0], digest(row)))
            seen[table] = row[0]
    return found


def main(ledger: Path, out: Path) -> None:
    seen = dict.fromkeys(KEYS, 0)
    with out.open("w") as log:
        while True:
            try:
                with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=1) as connection:
                    rows = look(connection, seen)
                connection.close()
            except sqlite3.OperationalError:
                rows = []  # not there yet, or between a clean stop and the next start
            for row in rows:
                print(json.dumps(row), file=log)
            log.flush()
            time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
