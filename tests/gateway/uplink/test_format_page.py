"""docs/formats/mqtt.md says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from engine.event import KINDS
from gateway.uplink import envelope
from gateway.uplink.book import Book
from gateway.uplink.limits import Limits
from gateway.uplink.window import Window

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "formats" / "mqtt.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def example(title: str, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", section(title), re.DOTALL)[number])
    return found


def test_the_event_kinds_are_the_closed_list_with_both_texts() -> None:
    lines = [line for line in section("Event kinds").splitlines() if line.startswith("| `")]
    listed = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    assert listed == [(f"`{kind}`", *KINDS[kind]) for kind in KINDS]


def test_the_status_example_has_the_fields_that_are_sent() -> None:
    sent = json.loads(
        envelope.status(
            online=True, t_ms=0, boot=1, epoch=1, versions={}, streams={}, config="", proof="puback-5"
        )
    )
    assert list(example("Status")) == list(sent)


def test_the_batch_examples_have_the_fields_that_are_sent() -> None:
    row = {"seq": 41, "meter": "m", "t": "t", "values": {"active_power_w": 1}, "quality": []}
    head = envelope.Head("gw-1", 1, "readings")
    for number, cut in enumerate((envelope.cut_objects, envelope.cut_columns)):
        sent = json.loads(cut([row], head, 1, 1000).payloads[0])
        assert list(example("Batch", number)) == list(sent)
    table = example("Batch", 1)
    assert all(len(cells) == len(table["columns"]) + 1 for cells in table["rows"])


def test_the_limits_named_are_the_limits_kept() -> None:
    limits = Limits()
    for text in (
        f"At most {limits.batch_rows_max} rows and {limits.batch_bytes_max // 1000} kB",
        f"At most {limits.window} batches",
        f"one stream has at most {limits.share} of them",
        f"one batch is tried every {limits.no_subscriber_retry_ms // 1000} s",
        f"none within {limits.ack_timeout_ms // 1000} s",
        f"up to {limits.backoff_slow_cap_ms // 60_000} minutes apart",
        f"up to {limits.backoff_cap_ms // 60_000} minute apart",
    ):
        assert text in " ".join(PAGE.split()), text


def test_every_field_of_the_state_is_described() -> None:
    book = Book(broker="b", client="c", proof="p", policy="wait", started_ms=0)
    window = Window({"readings": 0}, limits=Limits(), accept_unsubscribed=False, random=lambda: 0.0)
    state = book.state(window, {"readings": 3}, None)
    described = set(re.findall(r"`(\w+)`", section("State of the uplink")))
    assert set(state) | set(state["streams"]["readings"]) <= described
