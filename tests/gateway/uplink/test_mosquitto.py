"""The uplink against a real Mosquitto, judged by what mosquitto_sub received."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, Mosquitto, Receiver, first_times, settings, until, uplink, wait_subscribed
from paper_ledger import row, write

from gateway.uplink.account import read_cursors, read_events, read_hours, read_state

EPOCH = 1_700_000_000_000


def cursor(store: Path, stream: str) -> int:
    found = read_cursors(store / "uplink", EPOCH)
    return found[stream].seq if stream in found else 0


def state(store: Path) -> dict[str, Any]:
    return read_state(store / "uplink") or {}


async def test_every_row_arrives_once_in_order_in_the_form_of_the_contract(
    store: Path, mosquitto: Mosquitto, receiver: Receiver
) -> None:
    write(store, {"readings": 1234, "events": 7})
    async with uplink(settings(store, mosquitto.port)):
        await until(lambda: cursor(store, "readings") == 1234 and cursor(store, "events") == 7)
        write(store, {"readings": 1300, "events": 8})
        await until(lambda: cursor(store, "readings") == 1300 and cursor(store, "events") == 8)
        await until(lambda: receiver.contiguous("readings") == 1300 and receiver.contiguous("events") == 8)
    assert receiver.seqs("readings") == list(range(1, 1301))
    batch = receiver.batches("readings")[0]
    assert list(batch) == ["v", "gateway", "epoch", "stream", "from", "to", "sent_ms", "rows"]
    assert (batch["v"], batch["gateway"], batch["epoch"], batch["from"]) == (1, "gw-1", EPOCH, 1)
    assert batch["rows"] == [row("readings", seq) for seq in range(1, batch["to"] + 1)]
    assert all(len(json.dumps(b)) < 120_000 and len(b["rows"]) <= 500 for b in receiver.batches("readings"))
    hours = read_hours(store / "uplink", 0, 1 << 60)
    assert sum(hour["acknowledged"] for hour in hours if hour["stream"] == "readings") == 1300


async def test_the_status_is_retained_and_says_offline_after_a_clean_stop(
    store: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    write(store, {"events": 3})
    topic = "wattledger/v1/p/gw-1/status"
    async with uplink(settings(store, mosquitto.port)):
        await until(lambda: state(store).get("connected"))
        late = Receiver(mosquitto.port, tmp_path, topic=topic)
        await until(lambda: late.messages("/status"))
    await until(lambda: len(late.messages("/status")) >= 2)
    late.close()
    (retained, online), (_, offline) = late.messages("/status")
    assert retained
    assert list(online) == ["v", "online", "t", "boot", "epoch", "versions", "streams", "config", "proof"]
    assert (online["online"], online["epoch"]) == (True, EPOCH)
    assert online["config"] == settings(store, mosquitto.port).digest
    assert online["proof"] == "puback-5"
    assert online["streams"] == {"intervals": 0, "events": 3, "readings": 0}
    assert offline["online"] is False
    assert state(store)["connected"] is False


async def test_live_values_go_out_only_when_they_change(
    store: Path, mosquitto: Mosquitto, receiver: Receiver
) -> None:
    def live(boot: int, **powers: int) -> None:
        meters = {meter: {"meter": meter, "values": {"active_power_w": w}} for meter, w in powers.items()}
        new = store / "run" / "new"
        new.write_text(json.dumps({"v": 1, "t": "x", "boot": boot, "meters": meters, "buses": {}}))
        os.replace(new, store / "run" / "live")

    live(4, a=1, b=1)
    async with uplink(settings(store, mosquitto.port)):
        await until(lambda: receiver.messages("/live/b"))
        live(4, a=2, b=1)
        await until(lambda: len(receiver.messages("/live/a")) == 2)
        live(4, a=3, b=1)
        await until(lambda: len(receiver.messages("/live/a")) == 3)
    powers = [payload["values"]["active_power_w"] for _, payload in receiver.messages("/live/a")]
    assert powers == [1, 2, 3]
    assert len(receiver.messages("/live/b")) == 1
    assert receiver.messages("/status")[-1][1]["boot"] == 4


async def test_nothing_is_lost_when_the_broker_comes_late(store: Path, tmp_path: Path) -> None:
    write(store, {"readings": 900})
    broker = Mosquitto(tmp_path)
    async with uplink(settings(store, broker.port)):
        await until(lambda: state(store).get("error"))
        now = state(store)
        assert now["error"]["kind"] == "unreachable"
        assert "mosquitto_sub" in now["error"]["hint"]["en"]
        assert now["streams"]["readings"]["waiting"] == 900
        broker.start()
        receiver = Receiver(broker.port, tmp_path)
        await until(lambda: receiver.contiguous("readings") == 900)
        await until(lambda: cursor(store, "readings") == 900)
    receiver.close()
    broker.stop()
    assert first_times(receiver.seqs("readings")) == list(range(1, 901))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP], ids=lambda n: n.name)
async def test_nothing_is_lost_when_the_broker_stops_dies_or_freezes_amid_a_drain(
    store: Path, mosquitto: Mosquitto, receiver: Receiver, number: signal.Signals
) -> None:
    total = 30_000
    write(store, {"events": total})
    async with uplink(settings(store, mosquitto.port), batch_rows_max=20):
        await until(lambda: len(receiver.seqs("events")) > 500)
        if number is signal.SIGSTOP:
            mosquitto.send(number)
            await until(lambda: "ack_timeout" in [event["kind"] for event in read_events(store / "uplink", 9)])
            assert cursor(store, "events") < total
            mosquitto.send(signal.SIGCONT)
        else:
            mosquitto.stop(number)
            await until(lambda: state(store).get("connected") is False)
            assert cursor(store, "events") < total
            mosquitto.start()
        await until(lambda: cursor(store, "events") == total, 30)
        await until(lambda: receiver.contiguous("events") == total)
    assert first_times(receiver.seqs("events")) == list(range(1, total + 1))


async def test_a_killed_uplink_never_has_its_cursor_ahead_of_what_was_received(
    store: Path, mosquitto: Mosquitto, receiver: Receiver
) -> None:
    total, chance = 60_000, random.Random(7)
    write(store, {"events": total})
    limits = json.dumps({"batch_rows_max": 10, "save_ms": 20, "poll_ms": 20})
    for _ in range(6):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE / "process.py"), str(store), f"mqtt://127.0.0.1:{mosquitto.port}", limits,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[2])},
        )  # fmt: skip
        before = cursor(store, "events")
        await until(lambda before=before: cursor(store, "events") > before)
        await asyncio.sleep(chance.random() / 10)
        process.kill()
        await process.wait()
        saved = cursor(store, "events")
        assert before < saved < total
        # What was on its way to the receiver may still arrive, but nobody sends anything new.
        with contextlib.suppress(TimeoutError):
            await until(lambda saved=saved: receiver.contiguous("events") >= saved, 5)
        assert receiver.contiguous("events") >= saved
    assert sum(not payload["online"] for _, payload in receiver.messages("/status")) >= 6, "the will of each"
    async with uplink(settings(store, mosquitto.port)):
        await until(lambda: receiver.contiguous("events") == total)
    assert first_times(receiver.seqs("events")) == list(range(1, total + 1))


async def test_with_nobody_subscribed_it_waits_and_says_so(
    store: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    write(store, {"readings": 2000})
    async with uplink(settings(store, mosquitto.port)):
        await until(lambda: state(store).get("error"))
        await asyncio.sleep(0.5)
        now = state(store)
        assert now["connected"]
        assert now["streams"]["readings"] == {
            "last_seq": 2000, "cursor": 0, "waiting": 2000, "no_subscriber": True, "stuck": False,
            "history_differs": False,
        }  # fmt: skip
        assert now["error"]["text"]["en"] == "the broker is there, nobody subscribes to readings"
        receiver = Receiver(mosquitto.port, tmp_path)
        await until(lambda: receiver.contiguous("readings") == 2000)
        await until(lambda: state(store)["error"] is None)
    receiver.close()
    assert receiver.seqs("readings") == list(range(1, 2001))
    kinds = [event["kind"] for event in read_events(store / "uplink", 20)]
    assert kinds.count("no_subscriber") == 1
    assert kinds.count("subscribed") == 1


async def test_with_nobody_subscribed_and_accept_the_cursor_moves_and_is_labelled(
    store: Path, mosquitto: Mosquitto
) -> None:
    write(store, {"readings": 700})
    async with uplink(settings(store, mosquitto.port, no_subscriber="accept")):
        await until(lambda: cursor(store, "readings") == 700)
    (hour,) = [h for h in read_hours(store / "uplink", 0, 1 << 60) if h["stream"] == "readings"]
    assert (hour["acknowledged"], hour["broker_accepted"]) == (0, 700)


async def test_a_wrong_password_is_not_authorised_with_a_hint_and_a_right_one_gets_in(
    store: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.stop()
    users = tmp_path / "users"
    users.write_text("gw:secret\n")
    process = await asyncio.create_subprocess_exec("mosquitto_passwd", "-U", str(users))
    assert await process.wait() == 0
    mosquitto.config = f"allow_anonymous false\npassword_file {users}\n"
    mosquitto.start()
    password = tmp_path / "password"
    password.write_text("guess\n")
    async with uplink(settings(store, mosquitto.port, username="gw", password_file=password)):
        await until(lambda: state(store).get("error"))
        error = state(store)["error"]
        assert error["kind"] == "not_authorised"
        assert "password_file" in error["hint"]["en"]
        assert "password_file" in error["hint"]["zh"]
        password.write_text("secret\n")
        await until(lambda: state(store)["connected"])


async def test_what_the_acl_denies_does_not_move_the_cursor(
    store: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.stop()
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write wattledger/v1/x/knock\ntopic write wattledger/v1/p/gw-1/events\n")
    mosquitto.config = f"allow_anonymous true\nacl_file {acl}\n"
    mosquitto.start()
    receiver = Receiver(mosquitto.port, tmp_path)
    wait_subscribed(mosquitto.port, receiver)
    write(store, {"readings": 50, "events": 5})
    async with uplink(settings(store, mosquitto.port)):
        await until(lambda: cursor(store, "events") == 5)
        await until(lambda: state(store).get("error"))
        now = state(store)
    receiver.close()
    assert now["error"]["kind"] == "publish_refused"
    assert "0x87" in now["error"]["text"]["en"]
    assert cursor(store, "readings") == 0
    assert receiver.seqs("readings") == []


async def test_a_3_1_1_connection_delivers_and_is_shown_as_the_weaker_proof(
    store: Path, mosquitto: Mosquitto, receiver: Receiver
) -> None:
    write(store, {"readings": 600})
    async with uplink(settings(store, mosquitto.port, version="3.1.1")):
        await until(lambda: cursor(store, "readings") == 600)
        await until(lambda: receiver.contiguous("readings") == 600)
    assert receiver.messages("/status")[0][1]["proof"] == "puback-3.1.1"
    assert state(store)["proof"] == "puback-3.1.1"


async def test_readings_as_columns_arrive_complete(
    store: Path, mosquitto: Mosquitto, receiver: Receiver
) -> None:
    write(store, {"readings": 1000})
    async with uplink(settings(store, mosquitto.port, readings_format="columns")):
        await until(lambda: cursor(store, "readings") == 1000)
        await until(lambda: sum(len(b["rows"]) for b in receiver.batches("readings")) >= 1000)
    seen = {}
    for batch in receiver.batches("readings"):
        for seq, *fields in batch["rows"]:
            named = dict(zip(batch["columns"], fields, strict=True))
            head = {"seq": seq, "meter": batch["meter"], "t": named.pop("t")}
            seen[seq] = {**head, "quality": named.pop("quality"), "values": named}
    assert seen == {seq: row("readings", seq) for seq in range(1, 1001)}


async def test_a_broker_with_a_small_packet_limit_gets_small_batches(
    store: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.stop()
    mosquitto.config = "allow_anonymous true\nmax_packet_size 2000\n"
    mosquitto.start()
    receiver = Receiver(mosquitto.port, tmp_path)
    wait_subscribed(mosquitto.port, receiver)
    write(store, {"readings": 100})
    async with uplink(settings(store, mosquitto.port)):
        await until(lambda: cursor(store, "readings") == 100)
        await until(lambda: receiver.contiguous("readings") == 100)
    receiver.close()
    assert receiver.seqs("readings") == list(range(1, 101))
