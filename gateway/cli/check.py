"""`wattledger check`: is site.toml right, what will be read, can the buses keep it, how much will be sent."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from gateway.cli.common import config_option, json_option, print_table
from gateway.site.check import CheckReport, check_here
from gateway.site.check_files import file_problems
from gateway.site.file import find, load
from gateway.site.problem import Problem, SiteFileError, with_lines
from gateway.site.settings import Settings
from gateway.site.units import duration_text


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("check", help="check site.toml, show read plans, bus load and data volume")
    config_option(parser)
    json_option(parser)
    parser.add_argument("--quiet", action="store_true", help="of a good file only its path, of a bad one what is wrong")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 3 if the configuration is refused; nothing is started in any case."""
    file = find(args.config)
    try:
        settings = load(file)
    except SiteFileError as error:
        if not args.json:
            raise
        print(orjson.dumps({"file": str(file), "ok": False, "errors": [_problem(p) for p in error.problems]}).decode())
        return error.exit_code
    report = check_here(settings)
    errors, warnings = file_problems(settings)
    bad = with_lines([*report.errors, *errors], settings.text)
    doubtful = with_lines([*report.warnings, *warnings], settings.text)
    if args.json:
        print(orjson.dumps(as_json(file, settings, report, bad, doubtful)).decode())
        return SiteFileError.exit_code if bad else 0
    if not args.quiet:
        _print_report(report)
    for problem in doubtful:
        print(f"warning: {file}:{problem.line}: {problem}", file=sys.stderr)
    if bad:
        raise SiteFileError(file, bad)
    if args.quiet:
        print(file)
        return 0
    count = f"{len(doubtful)} warning{'s' * (len(doubtful) != 1)}" if doubtful else "no warnings"
    print(f"\n{file} is good ({count}), digest {settings.digest}")
    return 0


def as_json(
    file: Path, settings: Settings, report: CheckReport, errors: list[Problem], warnings: list[Problem]
) -> dict[str, Any]:
    """The whole report as one object: file, ok, digest, errors, warnings, plans, buses, streams."""
    return {
        "file": str(file),
        "ok": not errors,
        "digest": settings.digest,
        "errors": [_problem(p) for p in errors],
        "warnings": [_problem(p) for p in warnings],
        "plans": [
            {**asdict(p), "blocks": [dict(zip(("function", "address", "registers"), b, strict=True)) for b in p.blocks],
             "registers": p.registers}
            for p in report.plans
        ],
        "buses": [{**asdict(b), "fits_ms": b.fits_ms} for b in report.buses],
        "streams": [
            {"stream": s.stream, "rows_per_day": s.rows_per_day, "bytes_per_row": round(s.bytes_per_row, 1),
             "mb_per_day": round(s.mb_per_day, 3), "mb_per_month": round(s.mb_per_month, 2)}
            for s in report.streams
        ],
    }  # fmt: skip


def _problem(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "message": problem.message, "instead": problem.instead or None}


def _print_report(report: CheckReport) -> None:
    if report.plans:
        headers = ("meter", "bus", "profile", "quantities", "blocks", "registers", "ms", "interval", "reads")
        print_table(headers, (
            (p.meter, p.bus, p.profile, p.quantities, len(p.blocks) or None, p.registers or None,
             f"{p.ms:.0f}" if p.ms else None, duration_text(p.interval_ms),
             " ".join(f"{function}:{address}+{count}" for function, address, count in p.blocks) or "interrogation")
            for p in report.plans
        ))  # fmt: skip
        print()
    if report.buses:
        print_table(("bus", "protocol", "meters", "round", "used", "shortest interval"), (
            (b.bus, b.protocol, b.meters, f"{b.round_ms / 1000:.2f} s" if b.round_ms else None,
             f"{'~' if b.estimated else ''}{b.utilisation:.0%}" if b.round_ms else None,
             duration_text(b.fits_ms) if b.round_ms else None)
            for b in report.buses
        ))  # fmt: skip
        print()
    print_table(("stream", "rows/day", "bytes/row", "MB/day", "MB/month"), (
        (s.stream, f"{s.rows_per_day:.0f}", f"{s.bytes_per_row:.0f}", f"{s.mb_per_day:.2f}", f"{s.mb_per_month:.1f}")
        for s in report.streams
    ))  # fmt: skip
