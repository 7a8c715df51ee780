"""`wattledger regs`: raw registers of one meter, guarded like every poll."""

from __future__ import annotations

import argparse

from gateway.cli.ask import ask_bus
from gateway.cli.common import config_option, json_option, print_json_rows, print_table, running_settings
from gateway.cli.number import whole


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("regs", help="read raw registers of one meter")
    config_option(parser)
    json_option(parser)
    parser.add_argument("meter", help="meter id")
    parser.add_argument("address", type=lambda text: whole(text, 0, 65535), help="zero-based, decimal or 0x…")
    parser.add_argument("count", nargs="?", default=2, type=lambda text: whole(text, 1, 125), help="registers (2)")
    parser.add_argument("--function", type=int, choices=(3, 4), default=3, help="3 holding, 4 input registers")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    said = ask_bus(
        running_settings(args),
        {
            "command": "regs",
            "meter": args.meter,
            "function": args.function,
            "address": args.address,
            "count": args.count,
        },
    )
    payload = bytes.fromhex(said["hex"])
    words = [int.from_bytes(payload[n : n + 2], "big") for n in range(0, len(payload), 2)]
    rows = [
        {"address": args.address + n, "hex": f"0x{word:04X}", "uint16": word, "int16": word - (word >> 15 << 16)}
        for n, word in enumerate(words)
    ]
    if args.json:
        print_json_rows(rows)
    else:
        print_table(("address", "hex", "uint16", "int16"), [list(row.values()) for row in rows])
    return 0
