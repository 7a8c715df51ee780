"""`wattledger doctor`: look at this box before blaming a meter: clock, disk, ports, serial lines, libraries."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from engine.errors import GatewayError
from gateway.cli.common import config_option, json_option, print_json_rows, print_table, settings_of
from gateway.collect.clockwatch import kernel_synchronised
from gateway.site.settings import Settings

CONNECT_S = 2.0
FREE_MIN_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `next` is the command or change that helps where it is not well."""

    what: str
    well: bool
    found: str
    next: str = ""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("doctor", help="look at this box: clock, disk, ports, permissions")
    config_option(parser)
    json_option(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 if all is well, 1 if not."""
    findings = list(examine(args))
    if args.json:
        print_json_rows(asdict(f) for f in findings)
    else:
        rows = [["ok" if f.well else "!!", f.what, f.found, "" if f.well else f.next] for f in findings]
        print_table(("", "what", "found", "next"), rows)
    return 0 if all(f.well for f in findings) else 1


def examine(args: argparse.Namespace) -> Iterator[Finding]:
    """Look at everything; a broken configuration ends the parts that need one."""
    yield _python()
    try:
        settings = settings_of(args)
    except GatewayError as error:
        yield Finding("configuration", False, str(error), error.hint)
        return
    yield Finding("configuration", True, str(settings.file))
    yield _clock(settings)
    yield from _disk(settings)
    for bus_id, bus in settings.buses.items():
        yield _serial(bus_id, bus.device) if bus.device else _tcp(f"bus {bus_id}", bus.host, bus.tcp_port)
    yield _tcp("broker", settings.mqtt.host, settings.mqtt.port)
    yield _listen(settings)


def _python() -> Finding:
    found = f"Python {sys.version.split()[0]}, {sys.maxsize.bit_length() + 1} bit"
    return Finding("python", (3, 11) <= sys.version_info[:2] < (3, 14), found, "use Python 3.11 to 3.13")


def _clock(settings: Settings) -> Finding:
    if settings.site.clock == "trust":
        return Finding("clock", True, 'trusted by clock = "trust"')
    if kernel_synchronised():
        return Finding("clock", True, "synchronised")
    return Finding("clock", False, "not synchronised", "timedatectl status; systemctl enable --now systemd-timesyncd")


def _disk(settings: Settings) -> Iterator[Finding]:
    path = settings.store.path
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    free = shutil.disk_usage(parent).free
    yield Finding("disk", free > FREE_MIN_BYTES, f"{free / 1e9:.1f} GB free at {parent}", f"df -h {parent}")
    yield Finding("store", os.access(parent, os.W_OK), f"{path}", f"ls -ld {parent}; id")


def _serial(bus_id: str, device: str) -> Finding:
    what = f"bus {bus_id}"
    try:
        mode = os.stat(device).st_mode
    except OSError as error:
        look = "ls -l /dev/rs485-* /dev/ttyUSB* /dev/ttyAMA*; dmesg | tail"
        return Finding(what, False, f"{device}: {error.strerror}", look)
    if not stat.S_ISCHR(mode):
        return Finding(what, False, f"{device} is not a serial line", f"ls -l {device}")
    if not os.access(device, os.R_OK | os.W_OK):
        return Finding(what, False, f"{device}: not permitted", f"ls -l {device}; sudo usermod -aG dialout $USER")
    return Finding(what, True, device)


def _tcp(what: str, host: str, port: int) -> Finding:
    try:
        with socket.create_connection((host, port), CONNECT_S):
            return Finding(what, True, f"{host}:{port} answers")
    except OSError as error:
        return Finding(what, False, f"{host}:{port}: {error}", f"ping -c 3 {host}; nc -vz {host} {port}")


def _listen(settings: Settings) -> Finding:
    host, port = settings.web.host, settings.web.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding("page", False, f"{host}:{port}: {error.strerror}", f"ss -ltnp 'sport = :{port}'")
    return Finding("page", True, f"{host}:{port} is free")


