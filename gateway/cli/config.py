"""`wattledger config example | show`: a commented example, and the configuration as it is understood."""

from __future__ import annotations

import argparse
import json
from typing import Any

import orjson

from gateway.cli.common import config_option, json_option, settings_of
from gateway.paths import data_dir
from gateway.site.fields import Table
from gateway.site.settings import Settings


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("config", help="print an example or the effective configuration")
    actions = parser.add_subparsers(dest="action", required=True)
    example = actions.add_parser("example", help="a commented site.toml to start from")
    json_option(example)
    example.set_defaults(func=run_example)
    show = actions.add_parser("show", help="every key with its value, defaults included; of secrets only the path")
    config_option(show)
    json_option(show)
    show.set_defaults(func=run)


def run_example(args: argparse.Namespace) -> int:
    text = (data_dir("config") / "site.example.toml").read_text(encoding="utf-8")
    print(orjson.dumps({"text": text}).decode() if args.json else text, end="\n" if args.json else "")
    return 0


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    print(orjson.dumps(settings.model_dump(mode="json")).decode() if args.json else as_toml(settings))
    return 0


def as_toml(settings: Settings) -> str:
    """site.toml with every key that has a value or a default; reading it gives the same settings again."""
    parts: list[str] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        header = f"[[{name}]]" if isinstance(value, tuple) else f"[{name}]"
        for table in value if isinstance(value, tuple) else (value,):
            rows = [f"{key} = {_value(item)}" for key, item in _shown(table).items()]
            parts.append("\n".join([header, *rows]))
    return "\n\n".join(parts)


def _shown(table: Table) -> dict[str, Any]:
    """The keys of a table that may stand in a file: an empty or foreign one would be refused there."""
    written = table.model_fields_set
    body: dict[str, Any] = table.model_dump(mode="json")
    line = ("baud", "parity", "stop_bits") if body.get("protocol") != "modbus-rtu" else ()
    only_if_written = {"host", "device", "ioa_base", *line}
    return {
        key: value for key, value in body.items()
        if value is not None and (key in written or key not in only_if_written)
    }  # fmt: skip


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
