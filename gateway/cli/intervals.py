"""`wattledger intervals`: closed energy intervals of a time span."""

from __future__ import annotations

import argparse
from zoneinfo import ZoneInfo

from gateway.cli.common import running_settings
from gateway.cli.span import Row, kilo, local, row_options, show_rows
from gateway.store.reader import LedgerReader

HEADERS = ("start", "meter", "kWh in", "kWh out", "kvarh in", "PF", "kW demand", "kg CO2", "coverage", "quality")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("intervals", help="closed energy intervals of a time span")
    row_options(parser)
    parser.add_argument("--history", action="store_true", help="superseded revisions too")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    def fetch(reader: LedgerReader, since: int, until: int, after: int) -> list[Row]:
        return reader.intervals(args.meter, since, until, after_seq=after, history=args.history)

    return show_rows(args, running_settings(args), fetch, HEADERS, _cells)


def _cells(row: Row, zone: ZoneInfo) -> list[object]:
    co2e = row["co2e"][0]["kg"] if row["co2e"] else None
    return [
        local(row["start"], zone),
        row["meter"],
        kilo(row.get("active_energy_import_wh")),
        kilo(row.get("active_energy_export_wh")),
        kilo(row.get("reactive_energy_import_varh")),
        row.get("power_factor"),
        kilo(row.get("demand_w")),
        None if co2e is None else f"{co2e:.3f}",
        row["coverage"],
        ",".join(row["quality"]) or "good",
    ]
