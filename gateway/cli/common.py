"""What every command shares: the option -c, tables, JSON lines, and how an error is told."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from engine.errors import GatewayError
from gateway.site.check import problems_for
from gateway.site.file import find, load
from gateway.site.last_good import load_or_last_good
from gateway.site.settings import Settings


def config_option(parser: argparse.ArgumentParser) -> None:
    """Add -c/--config."""
    parser.add_argument(
        "-c", "--config", metavar="FILE",
        help="site.toml (else $WATTLEDGER_CONFIG, ./site.toml, /etc/wattledger/site.toml)",
    )  # fmt: skip


def json_option(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="JSON, one object per line for rows")


def settings_of(args: argparse.Namespace) -> Settings:
    """The configuration that -c names. Raises ConfigError."""
    return load(find(args.config))


def running_settings(args: argparse.Namespace) -> Settings:
    """What the gateway runs on: the file that -c names or, where that is bad, collect's last good copy.

    Raises ConfigError when there is no such copy either.
    """
    file = find(args.config)
    settings, rejected = load_or_last_good(file, "collect", problems_for("collect"))
    if rejected is not None:
        print(f"warning: {rejected}", file=sys.stderr)
        print(f"  what follows is of the last good configuration; next: wattledger check -c {file}", file=sys.stderr)
    return settings


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest cell; numbers to the right. None is shown as –."""
    body = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    right = [bool(body) and all(_number(row[i]) for row in body) for i in range(len(headers))]
    widths = [max(map(_width, column)) for column in zip(headers, *body, strict=True)]
    for row in [list(headers), *body]:
        cells = [_pad(cell, width, flush) for cell, width, flush in zip(row, widths, right, strict=True)]
        print("  ".join(cells).rstrip())


def print_json_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object per line."""
    for row in rows:
        print(orjson.dumps(row).decode())


def fail(error: GatewayError) -> int:
    """Tell an error on stderr; returns its exit code."""
    print(f"error: {error}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def _number(cell: str) -> bool:
    return cell == "–" or cell.removesuffix("%").strip().replace(".", "", 1).lstrip("-").isdecimal()


def _width(cell: str) -> int:
    """Terminal columns [characters]: Chinese ones take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)


def _pad(cell: str, width: int, right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if right else cell + space
