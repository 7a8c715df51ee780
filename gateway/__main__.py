"""`wattledger`: finds the command and runs it. Only the module of the chosen command is imported."""

from __future__ import annotations

import argparse
import importlib
import sys

# command: (module, one line for the list)
COMMANDS = {
    "demo": ("gateway.cli.demo", "a simulated plant, a broker and the whole gateway on loopback"),
    "run": ("gateway.cli.run", "collect, uplink and web under one supervisor"),
    "collect": ("gateway.cli.collect", "poll the meters into the ledger"),
    "uplink": ("gateway.cli.uplink", "deliver the ledger over MQTT"),
    "web": ("gateway.cli.web", "serve page and API"),
    "check": ("gateway.cli.check", "check site.toml, show read plans, bus load and data volume"),
    "config": ("gateway.cli.config", "print an example or the effective configuration"),
    "status": ("gateway.cli.status", "is everything well, what is wrong, what to do"),
    "read": ("gateway.cli.read", "read one meter now"),
    "regs": ("gateway.cli.regs", "read raw registers of one meter"),
    "readings": ("gateway.cli.readings", "raw readings of a time span"),
    "intervals": ("gateway.cli.intervals", "closed energy intervals of a time span"),
    "events": ("gateway.cli.events", "events of a time span"),
    "profile": ("gateway.cli.profile", "list or show meter profiles"),
    "simulate": ("gateway.cli.simulate", "simulated meters only"),
    "backup": ("gateway.cli.backup", "copy the ledger while it is written"),
    "doctor": ("gateway.cli.doctor", "look at this box: clock, disk, ports, permissions"),
    "version": ("gateway.cli.version", "versions of the gateway and its libraries"),
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())
    return f"usage: wattledger COMMAND [options]\n\n{rows}\n\nwattledger COMMAND --help tells the options."


def main(argv: list[str] | None = None) -> int:
    """Run one command; the return value is the exit code of DESIGN §6."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        argv = ["version", *argv[1:]]
    if argv[0] not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(argv[0], COMMANDS, 1)
        print(f"error: no command {argv[0]!r}", file=sys.stderr)
        print(f"  hint: wattledger {near[0] if near else '--help'}", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(prog="wattledger")
    module = importlib.import_module(COMMANDS[argv[0]][0])
    module.add_parser(parser.add_subparsers(dest="command", required=True))
    args = parser.parse_args(_joined(argv))
    try:
        code = args.func(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        from engine.errors import GatewayError

        if not isinstance(error, GatewayError):
            raise
        from gateway.cli.common import fail

        return fail(error)
    return int(code)


def _joined(argv: list[str]) -> list[str]:
    """`--from -24h` as `--from=-24h`: argparse would take the time for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in ("--from", "--to") and word[:1] == "-" and word[1:2].isdecimal():
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


if __name__ == "__main__":
    sys.exit(main())
