"""`wattledger uplink`: the process by itself, as systemd runs it."""

from __future__ import annotations

import argparse

from gateway.lean import without_numpy


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("uplink", help="deliver the ledger over MQTT")
    parser.add_argument("-c", "--config", metavar="FILE", help="site.toml")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    without_numpy()
    from gateway.process import Frame, run_process
    from gateway.uplink.main import run_uplink

    async def work(frame: Frame) -> None:
        frame.ready()
        await run_uplink(frame.settings, stop=frame.stop)

    return run_process("uplink", args.config, work)
