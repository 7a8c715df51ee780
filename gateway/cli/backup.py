"""`wattledger backup`: copy the ledger while it is written, and check the copy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gateway.cli.common import config_option, running_settings
from gateway.cli.progress import Progress
from gateway.store.backup import backup


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("backup", help="copy the ledger while it is written")
    config_option(parser)
    parser.add_argument("target", type=Path, help="file to write, e.g. /media/usb/ledger.db")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    settings = running_settings(args)
    progress = Progress("backup")
    backup(settings.store.path, args.target, progress.show)
    progress.done()
    print(f"{args.target} is complete and checked", file=sys.stderr)
    return 0
