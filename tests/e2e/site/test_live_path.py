"""From the meter's answer to the eyes: live file, MQTT live topic, page stream; the same payload, advancing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

from tests.e2e.rig import until
from tests.e2e.site.conftest import Site

KEY = "active_energy_import_wh"
WANTED = 3


def advance(payloads: list[dict[str, Any]]) -> bool:
    """Values came, newer each time, and the counter never fell."""
    times = [p["t"] for p in payloads]
    energy = [p["values"][KEY] for p in payloads]
    return len(set(times)) >= WANTED and times == sorted(times) and energy == sorted(energy) and energy[0] > 0


def test_the_live_file_advances(site: Site) -> None:
    seen: list[dict[str, Any]] = []
    until(_collector(seen, lambda: site.live["meters"]["press-1"]), "three live payloads", 10)
    assert advance(seen)
    assert {"since", KEY, "co2e_kg_per_h"} <= seen[-1]["running"].keys()


def test_the_live_topic_brings_the_payload_of_the_live_file(site: Site) -> None:
    def on_topic() -> list[dict[str, Any]]:
        found = (m for m in site.subscriber.messages() if m["topic"].endswith("/live/press-1"))
        return [json.loads(m["payload"]) for m in found]

    until(lambda: len(on_topic()) >= WANTED, "three live messages", 10)
    assert advance(on_topic())
    here = site.live["meters"]["press-1"]
    until(lambda: here in on_topic(), "the payload that the live file has", 5)


def test_the_page_stream_brings_the_payload_of_the_live_file(site: Site) -> None:
    listen = tomllib.loads(site.config.read_text())["web"]["listen"]
    connection = HTTPConnection(listen, timeout=10)
    connection.request("GET", "/api/v1/stream")
    answer = connection.getresponse()
    assert answer.status == 200
    seen: list[dict[str, Any]] = []
    event = ""
    while len(seen) < WANTED:
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: ") and event == "live":
            news = json.loads(line.removeprefix("data: "))["meters"]
            seen += [news["press-1"]] if "press-1" in news else []
    connection.close()
    assert advance(seen)
    assert seen[-1].keys() == site.live["meters"]["press-1"].keys()


def _collector(seen: list[dict[str, Any]], look: Callable[[], dict[str, Any]]) -> Callable[[], bool]:
    def done() -> bool:
        payload = look()
        if payload not in seen:
            seen.append(payload)
        return len(seen) >= WANTED

    return done
