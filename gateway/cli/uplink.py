"""`wattledger uplink`: the process by itself, as systemd runs it."""

from __future__ import annotations

import argparse

import gateway.lean  # noqa: F401  # before anything that brings sqlite-utils
from gateway.process import Frame, run_process
from gateway.uplink.main import run_uplink


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("uplink", help="one of the three processes")
    parser.add_argument("-c", "--config", metavar="FILE", help="site.toml")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    return run_process("uplink", args.config, _work)


async def _work(frame: Frame) -> None:
    frame.ready()
    await run_uplink(frame.settings, stop=frame.stop)
