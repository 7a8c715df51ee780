"""`wattledger demo`: a simulated plant, a broker and the whole gateway on loopback, no configuration."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from gateway.site.units import duration_ms


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("demo", help="a simulated plant and the whole gateway on loopback")
    parser.add_argument("--for", dest="span", metavar="TIME", type=duration_ms, help='end by itself, e.g. "60s"')
    parser.add_argument("--meters", type=int, default=12, metavar="N", help="meters of the plant, 8 to 200 (12)")
    parser.add_argument("--port", type=int, default=8080, help="port of the page (8080)")
    parser.add_argument("--path", type=Path, default=Path("demo-data"), help="where its files go (./demo-data)")
    parser.add_argument("--language", choices=("zh", "en"), default="en", help="of plant and page")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from gateway.demo import Demo

    return asyncio.run(Demo(args.path, args.port, args.meters, args.language).run(args.span))
