"""`wattledger status`: is everything well, what is wrong, what to do. Exit 9 when `collect` does not run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import orjson

from gateway.cli.common import config_option, print_table, running_settings
from gateway.cli.span import kilo
from gateway.live import LiveReader
from gateway.site.settings import Settings
from gateway.store.reader import LedgerReader
from gateway.timespan import parse_utc
from gateway.uplink.account import read_state

NOT_RUNNING = 9
DAY_MS = 86_400_000


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("status", help="is everything well, what is wrong, what to do")
    config_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    settings = running_settings(args)
    found = gather(settings, time.time_ns() // 1_000_000)
    if args.json:
        print(orjson.dumps(found).decode())
    else:
        _tell(found)
    return 0 if found["running"] else NOT_RUNNING


def gather(settings: Settings, now_ms: int) -> dict[str, Any]:
    """Everything that `status` tells, from the files alone. Documented in docs/cli.md."""
    live_file = LiveReader(settings.store.runtime_dir, lambda: now_ms)
    running = live_file.running()
    live = live_file.read() or {"meters": {}, "buses": {}, "trouble": {}, "health": {}}
    meters = []
    for meter in settings.meter:
        payload = live["meters"].get(meter.id)
        trouble = live["trouble"].get(meter.id)
        meters.append(
            {
                "meter": meter.id,
                "name": meter.name,
                "age_ms": now_ms - parse_utc(payload["t"]) if payload else None,
                "active_power_w": payload["values"].get("active_power_w") if payload else None,
                "running": payload["running"] if payload else None,
                "quality": payload["quality"] if payload else None,
                "trouble": trouble,
            }
        )
    return {
        "site": settings.site.id,
        "gateway": settings.site.gateway,
        "config": settings.digest,
        "running": running,
        "live_age_ms": live_file.age_ms(),
        "meters": meters,
        "buses": live["buses"],
        "health": live["health"],
        "ledger": _ledger(settings, now_ms),
        "uplink": read_state(settings.store.uplink_dir),
    }


def _ledger(settings: Settings, now_ms: int) -> dict[str, Any] | None:
    if not (settings.store.path / "ledger.db").exists():
        return None
    reader = LedgerReader(settings.store.path)
    try:
        counts = reader.counts(now_ms - DAY_MS, now_ms + 1)
        due = sum(c.due for c in counts.values())
        valid = sum(c.valid for c in counts.values())
        return {
            "epoch": reader.epoch,
            "last_seq": {stream: reader.last_seq(stream) for stream in ("readings", "intervals", "events")},
            "day": {
                "due": due,
                "valid": valid,
                "share": valid / due if due else None,
                "missed": {
                    cause: n
                    for cause in ("meter", "bus", "box", "clock", "disk", "broker")
                    if (n := sum(c.missed.get(cause, 0) for c in counts.values()))
                },
            },
        }
    finally:
        reader.close()


def _tell(found: dict[str, Any]) -> None:
    print(f"{found['site']} / {found['gateway']}: " + ("metering" if found["running"] else "collect is not running"))
    if not found["running"]:
        print("  next: wattledger run, or systemctl status wattledger-collect")
    rows = []
    for m in found["meters"]:
        running = m["running"] or {}
        state = "waits for its first answer" if m["age_ms"] is None else "ok"
        rows.append(
            [
                m["meter"],
                kilo(m["active_power_w"]),
                kilo(running.get("active_energy_import_wh")),
                running.get("power_factor"),
                None if m["age_ms"] is None else f"{m['age_ms'] / 1000:.1f} s",
                m["trouble"]["reason"] if m["trouble"] else state,
            ]
        )
    print_table(("meter", "kW", "kWh today", "PF", "age", "state"), rows)
    for hint in dict.fromkeys(m["trouble"]["hint"] for m in found["meters"] if m["trouble"]):
        print(f"  {hint}")
    for bus, figures in found["buses"].items():
        if figures["discarded"]:
            faults = ", ".join(f"{fault} {n}" for fault, n in figures["discarded"].items())
            print(f"bus {bus}: wrong answers, none became a value: {faults}")
    for sentence in _warnings(found["health"]):
        print(sentence)
    ledger, uplink = found["ledger"], found["uplink"]
    if ledger and ledger["day"]["share"] is not None:
        missed = ", ".join(f"{cause} {n}" for cause, n in ledger["day"]["missed"].items()) or "none"
        share, due = ledger["day"]["share"], ledger["day"]["due"]
        print(f"last 24 h: {100 * share:.2f} % of {due} readings due; missed: {missed}")
    if uplink is not None:
        print(f"upload: {_upload(uplink)}")


def _warnings(health: dict[str, Any]) -> Iterator[str]:
    if health.get("config_rejected"):
        yield f"the configuration was refused, the last good one is in force: {health['config_rejected']}"
    if health.get("disk_full"):
        waiting, lost = health["commits_waiting"], health["readings_lost"]
        yield f"the disk takes nothing: {waiting} commits wait in memory, {lost} readings are lost; next: df -h"


def _upload(uplink: dict[str, Any]) -> str:
    if not uplink["running"]:
        return "uplink is not running; next: wattledger run, or systemctl status wattledger-uplink"
    if uplink["error"] is not None:
        return f"{uplink['error']['text']['en']}; {uplink['error']['hint']['en']}"
    waiting = {stream: s["waiting"] for stream, s in uplink["streams"].items() if s["waiting"]}
    rows = ", ".join(f"{n} {stream}" for stream, n in waiting.items()) or "nothing"
    return f"connected to {uplink['broker']}, proof {uplink['proof']}, waiting: {rows}"
