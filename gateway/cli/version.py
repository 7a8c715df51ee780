"""`wattledger version`: the gateway and the libraries that its figures depend on."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version

LIBRARIES = ("pymodbus", "c104", "paho-mqtt", "numpy", "numba", "sqlite-utils", "fastapi", "uvicorn")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("version", help="versions of the gateway and its libraries")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(func=run)


def versions() -> dict[str, str]:
    return {"wattledger": version("wattledger"), "python": platform.python_version()} | {
        name: version(name) for name in LIBRARIES
    }


def run(args: argparse.Namespace) -> int:
    found = versions()
    if args.json:
        print(json.dumps(found))
    else:
        for name, number in found.items():
            print(f"{name:<13} {number}")
    return 0
