"""`wattledger collect`: the process by itself, as systemd runs it."""

from __future__ import annotations

import argparse

from gateway.collect.main import run_collect
from gateway.process import run_process


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("collect", help="poll the meters into the ledger")
    parser.add_argument("-c", "--config", metavar="FILE", help="site.toml")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    return run_process("collect", args.config, run_collect)
