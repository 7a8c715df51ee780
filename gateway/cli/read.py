"""`wattledger read`: ask one meter now, on a free bus or through the running `collect`."""

from __future__ import annotations

import argparse

from engine.quantity import QUANTITIES
from gateway.cli.ask import ask_bus
from gateway.cli.common import config_option, json_option, print_json_rows, print_table, running_settings


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("read", help="read one meter now")
    config_option(parser)
    json_option(parser)
    parser.add_argument("meter", help="meter id")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    said = ask_bus(running_settings(args), {"command": "read", "meter": args.meter})
    if args.json:
        print_json_rows([said])
        return 0
    known = {q.key: q for q in QUANTITIES.values()}
    rows = [
        (known[key].en, f"{value:.{known[key].decimals}f}", "" if known[key].unit == "1" else known[key].unit)
        for key, value in said["values"].items()
    ]
    print_table((said["meter"], "value", "unit"), rows)
    if said["quality"]:
        print("quality: " + ", ".join(said["quality"]))
    return 0
