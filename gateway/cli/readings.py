"""`wattledger readings`: raw readings of a time span, as they were sent, in SI units."""

from __future__ import annotations

import argparse
from zoneinfo import ZoneInfo

from gateway.cli.common import running_settings
from gateway.cli.span import Row, kilo, local, row_options, show_rows
from gateway.store.reader import LedgerReader

HEADERS = ("time", "meter", "kW", "kWh in", "V L1", "A L1", "Hz", "quality")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("readings", help="raw readings of a time span")
    row_options(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    def fetch(reader: LedgerReader, since: int, until: int, after: int) -> list[Row]:
        return reader.readings(args.meter, since, until, after_seq=after)

    return show_rows(args, running_settings(args), fetch, HEADERS, _cells)


def _cells(row: Row, zone: ZoneInfo) -> list[object]:
    values = row["values"]
    return [
        local(row["t"], zone),
        row["meter"],
        kilo(values.get("active_power_w")),
        kilo(values.get("active_energy_import_wh")),
        values.get("voltage_l1_n_v"),
        values.get("current_l1_a"),
        values.get("frequency_hz"),
        ",".join(row["quality"]) or "good",
    ]
