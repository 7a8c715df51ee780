"""`wattledger run`: check the configuration, then collect, uplink and web under one supervisor."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from gateway.supervisor import Supervisor


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("run", help="collect, uplink and web under one supervisor")
    parser.add_argument("-c", "--config", metavar="FILE", help="site.toml")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    return supervise(args.config)


def supervise(config: str | None) -> int:
    """Exit 3 and nothing started if the file is wrong; else run until SIGINT or SIGTERM."""
    # The check needs pydantic and the profiles; in a process of its own it leaves this one small.
    command = [sys.executable, "-m", "gateway", "check", "--quiet", *(["-c", config] if config else [])]
    checked = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if checked.returncode:
        return checked.returncode
    path = checked.stdout.strip().splitlines()[-1]
    return Supervisor(os.path.abspath(path)).run()
