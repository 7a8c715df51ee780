"""`wattledger simulate`: simulated meters only, on real wires."""

from __future__ import annotations

import argparse
import asyncio


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from simulators.simulate import add_arguments

    parser = commands.add_parser("simulate", help="simulated meters only")
    add_arguments(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from simulators.simulate import options_from, simulate

    asyncio.run(simulate(options_from(args), say=lambda text: print(text, flush=True)))
    return 0
