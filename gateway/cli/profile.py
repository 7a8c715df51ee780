"""`wattledger profile list|show`: the meters that the gateway knows."""

from __future__ import annotations

import argparse
from typing import Any

from drivers.profile import parse_profile
from gateway.cli.common import json_option, print_json_rows, print_table
from gateway.site.profiles import load_profile, profile_texts


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("profile", help="list or show meter profiles")
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="all profiles")
    json_option(listing)
    listing.set_defaults(func=run_list)
    show = verbs.add_parser("show", help="the registers of one profile")
    show.add_argument("profile", help="e.g. eastron-sdm630")
    json_option(show)
    show.set_defaults(func=run_show)


def run_list(args: argparse.Namespace) -> int:
    profiles = [parse_profile(name, text) for name, text in profile_texts().items()]
    rows: list[dict[str, Any]] = [
        {
            "id": p.id,
            "vendor": p.vendor,
            "model": p.model,
            "protocols": list(p.protocols),
            "quantities": sum(not row.quantity.startswith("scale.") for row in p.rows),
            "confidence": p.confidence,
        }
        for p in profiles
    ]
    if args.json:
        print_json_rows(rows)
    else:
        cells = [{**row, "protocols": ", ".join(row["protocols"])}.values() for row in rows]
        print_table(("id", "vendor", "model", "protocols", "quantities", "confidence"), [list(c) for c in cells])
    return 0


def run_show(args: argparse.Namespace) -> int:
    profile = load_profile(args.profile)
    rows: list[dict[str, Any]] = [
        {
            "quantity": row.quantity,
            "function": row.function or None,
            "address": row.address,
            "type": row.point or row.wire,
            "scale": str(row.scale),
            "refs": list(row.refs),
            "polled": row.default,
        }
        for row in profile.rows
    ]
    if args.json:
        print_json_rows(rows)
        return 0
    print(f"{profile.vendor} {profile.model}: {profile.confidence}")
    print(profile.notes)
    print()
    cells = [[*list(row.values())[:5], " × ".join(row["refs"]), "yes" if row["polled"] else "no"] for row in rows]
    print_table(("quantity", "fn", "address", "type", "scale", "×", "polled"), cells)
    return 0
