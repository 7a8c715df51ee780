"""`wattledger web`: the process by itself, as systemd runs it."""

from __future__ import annotations

import argparse

import gateway.lean  # noqa: F401  # before anything that brings sqlite-utils
from gateway.process import Frame, run_process
from gateway.web.main import run_web


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("web", help="one of the three processes")
    parser.add_argument("-c", "--config", metavar="FILE", help="site.toml")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    return run_process("web", args.config, _work)


async def _work(frame: Frame) -> None:
    await run_web(frame.settings, stop=frame.stop, ready=lambda _address: frame.ready())
