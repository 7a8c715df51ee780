"""`wattledger events`: what happened, in the site's language."""

from __future__ import annotations

import argparse
from zoneinfo import ZoneInfo

from gateway.cli.common import running_settings
from gateway.cli.span import Row, local, row_options, show_rows
from gateway.store.reader import LedgerReader


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("events", help="events of a time span")
    row_options(parser, meter=False)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    settings = running_settings(args)

    def fetch(reader: LedgerReader, since: int, until: int, after: int) -> list[Row]:
        return reader.events(since, until, after_seq=after)

    def cells(row: Row, zone: ZoneInfo) -> list[object]:
        return [local(row["t"], zone), row["severity"], row["kind"], row["text"][settings.site.language]]

    return show_rows(args, settings, fetch, ("time", "severity", "kind", "what"), cells)
