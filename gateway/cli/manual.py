"""Writes docs/cli.md from the parsers: `python -m gateway.cli.manual > docs/cli.md`. A test keeps it true."""

from __future__ import annotations

import argparse
import importlib

from gateway.__main__ import COMMANDS

HEAD = """# Command line

Written by `python -m gateway.cli.manual`. stdout is data, stderr is messages. `-c` names the configuration, else
`$WATTLEDGER_CONFIG`, `./site.toml`, `/etc/wattledger/site.toml`. Times are RFC 3339, a local date(-time) of the site,
or `-24h`; spans are half-open. `--json` gives one object per line in UTC, with the fields of [MQTT](formats/mqtt.md).

Exit codes: 0 ok, 1 fault, 2 usage, 3 configuration, 4 no reply, 5 wrong answer, 6 broker, 7 storage, 8 partial,
9 not running.

`status --json` is one object: `site`, `gateway`, `config` (digest), `running`, `live_age_ms`; `meters`: `meter`,
`name`, `age_ms`, `active_power_w`, `running`, `quality`, `trouble` (`since_ms`, `reason`, `hint`); `buses` by id: `up`,
`utilisation` [%], `polls`, `skipped`, `late_ms`, `discarded` (what came and was no answer, by fault); `health`:
`commits_waiting`, `disk_full`, `readings_lost`, `readings_held`, `clock_synced`, `config_rejected` (why a file was
refused, else empty); `ledger`: `epoch`, `last_seq` per stream, `day` (`due`, `valid`, `share`, `missed` by
cause, of the last 24 h); `uplink`: the state object of [MQTT](formats/mqtt.md). What is not known is null.
"""


def manual() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, (module, _) in COMMANDS.items():
        parser = argparse.ArgumentParser(prog="wattledger", formatter_class=_Wide)
        commands = parser.add_subparsers()
        importlib.import_module(module).add_parser(commands)
        parts += [f"## {name}\n", *_sections(commands.choices[name])]
    return "\n".join(parts)


def _sections(parser: argparse.ArgumentParser) -> list[str]:
    parser.formatter_class = _Wide
    text = [f"```\n{parser.format_help().rstrip()}\n```\n"]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                text += _sections(verb)
    return text


class _Wide(argparse.HelpFormatter):
    """The same width everywhere, whatever terminal the page is written on."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=110, max_help_position=30)


if __name__ == "__main__":
    print(manual(), end="")
