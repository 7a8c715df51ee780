"""--from/--to, --meter, --limit, --json, --csv of the commands that show rows, and how rows are printed."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from engine.errors import ConfigError
from gateway.cli.common import config_option, print_json_rows, print_table
from gateway.site.settings import Settings
from gateway.store.reader import LedgerReader
from gateway.timespan import day_bounds, local_date, parse

Row = dict[str, Any]
Fetch = Callable[[LedgerReader, int, int, int], list[Row]]  # reader, from_ms, to_ms, after_seq → a page
TABLE_ROWS = 50


def row_options(parser: argparse.ArgumentParser, *, meter: bool = True) -> None:
    """The options that all row commands have."""
    config_option(parser)
    if meter:
        parser.add_argument("--meter", metavar="ID", help="this meter only")
    parser.add_argument("--from", dest="since", metavar="TIME", help='RFC 3339, local date(-time), or "-24h" (today)')
    parser.add_argument("--to", dest="until", metavar="TIME", help="end, not included (now)")
    parser.add_argument("--limit", type=int, metavar="N", help=f"at most N rows (table: {TABLE_ROWS}, else all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object per line, UTC")
    form.add_argument("--csv", action="store_true", help="CSV with a header, UTC")


def bounds(args: argparse.Namespace, settings: Settings) -> tuple[int, int]:
    """[from, to) in UTC ms; today by default. Raises ConfigError for a text that is no time."""
    zone = ZoneInfo(settings.site.timezone)
    now_ms = time.time_ns() // 1_000_000
    try:
        since = parse(args.since, now_ms, zone) if args.since else day_bounds(local_date(now_ms, zone), zone)[0]
        until = parse(args.until, now_ms, zone) if args.until else now_ms + 1
    except ValueError as error:
        raise ConfigError(str(error), hint="wattledger COMMAND --help") from error
    return since, until


def show_rows(
    args: argparse.Namespace,
    settings: Settings,
    fetch: Fetch,
    headers: Sequence[str],
    cells: Callable[[Row, ZoneInfo], Sequence[object]],
) -> int:
    """Page through the ledger and print: table in site time, or JSON/CSV in UTC."""
    if getattr(args, "meter", None) and args.meter not in settings.meters:
        raise ConfigError(f'no meter "{args.meter}" in this site', hint="wattledger status lists the meters")
    since, until = bounds(args, settings)
    as_table = not (args.json or args.csv)
    limit = args.limit or (TABLE_ROWS if as_table else None)
    reader = LedgerReader(settings.store.path)
    try:
        rows = _pages(reader, fetch, since, until, limit)
        if args.json:
            print_json_rows(rows)
        elif args.csv:
            _csv(rows)
        else:
            zone = ZoneInfo(settings.site.timezone)
            shown = [cells(row, zone) for row in rows]
            print_table(headers, shown)
            if len(shown) == limit:
                print(f"(the first {limit}; more with --limit N, all with --json or --csv)", file=sys.stderr)
    finally:
        reader.close()
    return 0


def _pages(reader: LedgerReader, fetch: Fetch, since: int, until: int, limit: int | None) -> Iterator[Row]:
    after, left = 0, limit
    while page := fetch(reader, since, until, after):
        for row in page:
            if left == 0:
                return
            yield row
            left = None if left is None else left - 1
        after = page[-1]["seq"]


def _csv(rows: Iterator[Row]) -> None:
    """Nested objects become `outer.inner` columns; lists stay JSON. The columns are those of all rows."""
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(sys.stdout, list(dict.fromkeys(key for row in flat for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found[prefix + key] = orjson.dumps(value).decode()
        else:
            found[prefix + key] = value
    return found


def local(text: str, zone: ZoneInfo) -> str:
    """A contract time as site time."""
    return datetime.fromisoformat(text).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def kilo(value: float | None, digits: int = 3) -> str | None:
    """Wh → kWh, W → kW, for people."""
    return None if value is None else f"{value / 1000:.{digits}f}"
