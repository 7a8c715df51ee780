"""The uplink against a broker that misbehaves: nothing lost, nothing counted that was not proven."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import first_times, settings, until, uplink
from paper_ledger import write

from gateway.uplink.account import read_cursors, read_events, read_state
from simulators.broker import Broker
from simulators.broker_faults import Faults
from simulators.mqtt_packets import V3, Publish
from simulators.mqtt_sessions import Session

EPOCH = 1_700_000_000_000


class Listener:
    """A subscriber inside the broker: it has what the broker handed on."""

    def __init__(self, broker: Broker) -> None:
        self.messages: list[Publish] = []
        self.session = Session("listener", {"wattledger/#": 1}, receive_maximum=1 << 30)
        self.session.send = self._take
        broker.sessions.by_client["listener"] = self.session

    def _take(self, message: Publish) -> None:
        self.messages.append(message)
        self.session.unacknowledged.pop(message.packet_id, None)

    def seqs(self, stream: str = "readings") -> list[int]:
        bodies = [json.loads(m.payload) for m in self.messages if m.topic.endswith(f"/{stream}")]
        return [row["seq"] for body in bodies for row in body["rows"]]

    def lengths(self, stream: str = "readings") -> list[int]:
        bodies = [json.loads(m.payload) for m in self.messages if m.topic.endswith(f"/{stream}")]
        return [len(body["rows"]) for body in bodies]


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with Broker() as running:
        yield running


def cursor(store: Path, stream: str = "readings", epoch: int = EPOCH) -> int:
    found = read_cursors(store / "uplink", epoch)
    return found[stream].seq if stream in found else 0


def kinds(store: Path) -> list[str]:
    return [event["kind"] for event in read_events(store / "uplink", 100)]


def state(store: Path) -> dict[str, Any]:
    return read_state(store / "uplink") or {}


def stream(store: Path) -> dict[str, Any]:
    found: dict[str, Any] = state(store).get("streams", {}).get("readings", {})
    return found


def error_kind(store: Path) -> str | None:
    error = state(store).get("error")
    return str(error["kind"]) if isinstance(error, dict) else None


@pytest.mark.parametrize(
    "faults",
    [
        Faults(lose_ack_every=7),
        Faults(reverse_acks=4),
        Faults(cut_after=9),
        Faults(refuse_above_bytes=12_000),
        Faults(lose_ack_every=11, cut_after=25, reverse_acks=3),
    ],
    ids=["loses acks", "acks in reverse", "cuts", "refuses long batches", "all at once"],
)
async def test_every_row_arrives_whatever_the_broker_does(store: Path, broker: Broker, faults: Faults) -> None:
    broker.faults = faults
    listener = Listener(broker)
    write(store, {"readings": 600, "events": 200})
    quick = {"backoff_base_ms": 20, "ack_timeout_ms": 150}
    async with uplink(settings(store, broker.port), batch_rows_max=40, **quick):
        await until(lambda: cursor(store) == 600 and cursor(store, "events") == 200)
    # Out of order only where the broker refuses some and takes the ones after it.
    in_order = sorted if faults.refuse_above_bytes else list
    assert in_order(first_times(listener.seqs())) == list(range(1, 601))
    assert in_order(first_times(listener.seqs("events"))) == list(range(1, 201))


async def test_a_broker_that_never_acknowledges_moves_no_cursor_and_is_left(
    store: Path, broker: Broker
) -> None:
    broker.faults = Faults(never_acknowledge=True)
    listener = Listener(broker)
    write(store, {"readings": 30})
    async with uplink(settings(store, broker.port)):
        await until(lambda: kinds(store).count("connected") >= 3)
        assert error_kind(store) in (None, "ack_timeout")
        assert "ack_timeout" in kinds(store)
        assert cursor(store) == 0
        broker.faults = Faults()
        await until(lambda: cursor(store) == 30)
    assert first_times(listener.seqs()) == list(range(1, 31))


async def test_a_frozen_broker_is_left_and_a_thawed_one_gets_everything(store: Path, broker: Broker) -> None:
    listener = Listener(broker)
    write(store, {"readings": 10})
    async with uplink(settings(store, broker.port), connect_timeout_ms=200):
        await until(lambda: cursor(store) == 10)
        broker.faults.thawed.clear()
        write(store, {"readings": 40})
        await until(lambda: "ack_timeout" in kinds(store))
        await until(lambda: error_kind(store) == "unreachable")
        broker.faults.thawed.set()
        await until(lambda: cursor(store) == 40)
    assert first_times(listener.seqs()) == list(range(1, 41))


async def test_a_batch_that_is_always_refused_is_cut_to_the_row_that_is_meant_and_nothing_is_dropped(
    store: Path, broker: Broker
) -> None:
    broker.faults = Faults(refuse_publish={"+/+/+/+/readings": 0x99})
    listener = Listener(broker)
    write(store, {"readings": 64, "events": 3})
    async with uplink(settings(store, broker.port), backoff_base_ms=20, backoff_cap_ms=40):
        await until(lambda: stream(store).get("stuck"))
        assert error_kind(store) == "publish_refused"
        assert cursor(store) == 0
        assert cursor(store, "events") == 3, "the other streams go on"
        broker.faults = Faults()
        await until(lambda: cursor(store) == 64)
    assert first_times(listener.seqs()) == list(range(1, 65))
    assert listener.lengths()[:8] == [1] * 8
    assert max(listener.lengths()) > 1, "and it grows again"


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (Faults(refuse_connect=0x88), "refused"),
        (Faults(refuse_connect=0x8A), "not_authorised"),
        (Faults(refuse_connect=0x84), "protocol"),
        (Faults(garbage=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "unwelcome"),
        (Faults(garbage=bytes.fromhex("2002ffff")), "protocol"),
        (Faults(garbage=bytes(range(255, 0, -1))), "protocol"),
    ],
)
async def test_a_broker_that_refuses_is_named_with_what_to_do(
    store: Path, broker: Broker, faults: Faults, kind: str
) -> None:
    broker.faults = faults
    async with uplink(settings(store, broker.port)):
        await until(lambda: error_kind(store) is not None)
        assert error_kind(store) == kind
        hint = state(store)["error"]["hint"]
        assert len(hint["en"]) > 20
        assert len(hint["zh"]) > 10
        broker.faults = Faults()
        await until(lambda: state(store)["connected"])


async def test_a_broker_of_3_1_1_only_is_named_and_works_once_configured(store: Path) -> None:
    async with Broker(levels=(V3,)) as broker:
        Listener(broker)
        write(store, {"readings": 5})
        async with uplink(settings(store, broker.port)):
            await until(lambda: error_kind(store) == "protocol")
            assert '3.1.1' in state(store)["error"]["hint"]["en"]
        async with uplink(settings(store, broker.port, version="3.1.1")):
            await until(lambda: cursor(store) == 5)


async def test_never_more_in_flight_than_the_broker_takes(store: Path) -> None:
    async with Broker(receive_maximum=2, faults=Faults(never_acknowledge=True)) as broker:
        listener = Listener(broker)
        write(store, {"readings": 900})
        async with uplink(settings(store, broker.port), batch_rows_max=10, ack_timeout_ms=5000):
            await until(lambda: broker.acks >= 2)
            await asyncio.sleep(0.2)
            assert broker.acks == 2
            assert len(listener.messages) == 2


async def test_live_values_pass_a_backlog_that_is_not_acknowledged(store: Path, broker: Broker) -> None:
    broker.faults = Faults(never_acknowledge=True)
    listener = Listener(broker)
    write(store, {"readings": 100_000})
    async with uplink(settings(store, broker.port), ack_timeout_ms=60_000):
        await until(lambda: broker.acks >= 17)  # the status and the share of one stream
        live = {"v": 1, "t": "x", "boot": 1, "meters": {"a": {"meter": "a", "values": {}}}}
        (store / "run" / "live").write_text(json.dumps(live))
        await until(lambda: any(m.topic.endswith("/live/a") for m in listener.messages))


async def test_a_new_epoch_begins_at_seq_1_under_its_own_cursor(store: Path, broker: Broker) -> None:
    listener = Listener(broker)
    write(store, {"readings": 20})
    async with uplink(settings(store, broker.port)):
        await until(lambda: cursor(store) == 20)
        write(store, {"readings": 6}, epoch=EPOCH + 1, history="b")
        await until(lambda: cursor(store, epoch=EPOCH + 1) == 6)
    assert cursor(store) == 20
    bodies = [json.loads(m.payload) for m in listener.messages if m.topic.endswith("/readings")]
    assert [(b["epoch"], b["from"], b["to"]) for b in bodies] == [(EPOCH, 1, 20), (EPOCH + 1, 1, 6)]


@pytest.mark.parametrize("last", [15, 30], ids=["still behind", "already past the cursor"])
async def test_a_restored_ledger_of_the_same_epoch_is_not_delivered_until_a_new_epoch(
    store: Path, broker: Broker, last: int
) -> None:
    listener = Listener(broker)
    write(store, {"readings": 20})
    async with uplink(settings(store, broker.port)):
        await until(lambda: cursor(store) == 20)
    write(store, {"readings": last}, history="b")
    async with uplink(settings(store, broker.port)):
        await until(lambda: error_kind(store) == "history")
        write(store, {"readings": 40}, history="b")
        await until(lambda: stream(store)["last_seq"] == 40)
        assert read_cursors(store / "uplink", EPOCH)["readings"].closed
        assert listener.seqs() == list(range(1, 21))
        write(store, {"readings": 40}, epoch=EPOCH + 1, history="b")
        await until(lambda: cursor(store, epoch=EPOCH + 1) == 40)
    assert listener.seqs() == [*range(1, 21), *range(1, 41)]


async def test_a_ledger_that_only_looked_short_goes_on_where_it_was(store: Path, broker: Broker) -> None:
    listener = Listener(broker)
    write(store, {"readings": 20})
    async with uplink(settings(store, broker.port)):
        await until(lambda: cursor(store) == 20)
        write(store, {"readings": 12})
        await until(lambda: error_kind(store) == "history")
        write(store, {"readings": 25})
        await until(lambda: cursor(store) == 25)
        await until(lambda: error_kind(store) is None)
    assert listener.seqs() == list(range(1, 26))


async def test_without_a_ledger_it_connects_and_waits(store: Path, broker: Broker) -> None:
    (store / "ledger.db").unlink()
    listener = Listener(broker)
    async with uplink(settings(store, broker.port)):
        await until(lambda: state(store).get("connected"))
        await until(lambda: error_kind(store) == "ledger")
        write(store, {"readings": 3})
        await until(lambda: cursor(store) == 3)
        await until(lambda: error_kind(store) is None)
    assert listener.seqs() == [1, 2, 3]


async def test_another_gateway_with_the_same_name_is_named(store: Path, broker: Broker) -> None:
    async with uplink(settings(store, broker.port), backoff_slow_base_ms=5000, backoff_slow_cap_ms=5000):
        await until(lambda: state(store).get("connected"))
        broker.clients["wattledger-p-gw-1"].taken_over()
        await until(lambda: error_kind(store) == "taken_over")


async def test_a_row_that_the_broker_can_never_take_is_named_and_kept(store: Path) -> None:
    async with Broker(packet_bytes_max=600) as broker:
        listener = Listener(broker)
        write(store, {"readings": 2})
        async with uplink(settings(store, broker.port)):
            await until(lambda: error_kind(store) == "too_large")
            assert cursor(store) == 0
        assert listener.seqs() == []
