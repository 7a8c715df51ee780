"""`wattledger web`: the process by itself, as systemd runs it."""

from __future__ import annotations

import argparse

from gateway.lean import without_numpy


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("web", help="serve page and API")
    parser.add_argument("-c", "--config", metavar="FILE", help="site.toml")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    without_numpy()
    from gateway.process import Frame, run_process
    from gateway.web.main import run_web

    async def work(frame: Frame) -> None:
        await run_web(frame.settings, stop=frame.stop, ready=lambda _address: frame.ready())

    return run_process("web", args.config, work)
