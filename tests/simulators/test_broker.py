"""The demo broker against clients that are not ours: Mosquitto's, paho, and bytes typed by hand."""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulators.broker import Broker
from simulators.broker_faults import Faults
from simulators.mqtt_packets import V3, Cursor, MalformedError
from simulators.mqtt_sessions import matches, valid_filter

ROOT = Path(__file__).resolve().parents[2]
CONNECT_V5 = bytes.fromhex("101100044d5154540502003c03210014000161")  # client "a", receive maximum 20
PUBLISH_1 = bytes.fromhex("320800017400070068 69")  # topic "t", id 7, "hi"


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with Broker() as running:
        yield running


async def tool(name: str, broker: Broker, *arguments: str) -> tuple[int, str]:
    """Exit code and output of mosquitto_pub or mosquitto_sub."""
    process = await asyncio.create_subprocess_exec(
        name, "-h", broker.host, "-p", str(broker.port), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def until(true: Any) -> None:
    async with asyncio.timeout(8):
        while not true():
            await asyncio.sleep(0.01)


def subscribers(broker: Broker) -> list[str]:
    return [name for name, session in broker.sessions.by_client.items() if session.subscriptions]


async def raw(broker: Broker, *packets: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(broker.host, broker.port)
    writer.write(b"".join(packets))
    return reader, writer


@pytest.mark.parametrize("version", ["5", "311"])
@pytest.mark.parametrize("qos", ["0", "1"])
async def test_mosquitto_clients_talk_through_it(broker: Broker, version: str, qos: str) -> None:
    listening = asyncio.create_task(
        tool("mosquitto_sub", broker, "-V", version, "-q", qos, "-t", "plant/+/power", "-C", "2", "-v")
    )
    await until(lambda: subscribers(broker))
    for meter in ("a", "b"):
        code, _ = await tool(
            "mosquitto_pub", broker, "-V", version, "-q", qos, "-t", f"plant/{meter}/power", "-m", "12"
        )
        assert code == 0
    assert await listening == (0, "plant/a/power 12\nplant/b/power 12\n")


async def test_a_retained_message_comes_to_a_later_subscriber_and_can_be_deleted(broker: Broker) -> None:
    await tool("mosquitto_pub", broker, "-V", "5", "-r", "-q", "1", "-t", "s", "-m", "here")
    assert await tool("mosquitto_sub", broker, "-V", "5", "-t", "#", "-C", "1") == (0, "here\n")
    await tool("mosquitto_pub", broker, "-V", "5", "-r", "-q", "1", "-t", "s", "-n")
    assert broker.sessions.retained == {}


@pytest.mark.parametrize("version", ["5", "311"])
async def test_a_persistent_session_gets_what_came_while_it_was_away(broker: Broker, version: str) -> None:
    away = ["-V", version, "-c", "-i", "rec", "-q", "1", "-t", "x"] + (["-x", "100"] if version == "5" else [])
    await tool("mosquitto_sub", broker, *away, "-E")
    for n in range(3):
        await tool("mosquitto_pub", broker, "-V", version, "-q", "1", "-t", "x", "-m", str(n))
    assert await tool("mosquitto_sub", broker, *away, "-C", "3") == (0, "0\n1\n2\n")


async def test_the_will_is_told_when_a_client_dies_and_not_when_it_says_goodbye(broker: Broker) -> None:
    listening = asyncio.create_task(tool("mosquitto_sub", broker, "-V", "5", "-t", "will/#", "-C", "1", "-v"))
    await until(lambda: subscribers(broker))
    polite = ["-V", "5", "--will-topic", "will/polite", "--will-payload", "no", "-t", "y", "-m", "1"]
    await tool("mosquitto_pub", broker, *polite)
    process = await asyncio.create_subprocess_exec(
        "mosquitto_sub", "-h", broker.host, "-p", str(broker.port), "-V", "5", "-i", "dying", "-t", "z",
        "--will-topic", "will/killed", "--will-payload", "yes",
    )  # fmt: skip
    await until(lambda: "dying" in broker.sessions.by_client)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert await listening == (0, "will/killed yes\n")


async def test_only_a_known_user_gets_in() -> None:
    async with Broker(users={"gw": "secret"}) as broker:
        ok, _ = await tool("mosquitto_pub", broker, "-V", "5", "-u", "gw", "-P", "secret", "-t", "t", "-m", "1")
        wrong, said = await tool("mosquitto_pub", broker, "-V", "5", "-u", "gw", "-P", "x", "-t", "t", "-m", "1")
        nobody, _ = await tool("mosquitto_pub", broker, "-V", "311", "-t", "t", "-m", "1")
    assert ok == 0
    assert wrong != 0
    assert "Bad User Name" in said or "authori" in said.lower()
    assert nobody != 0


async def test_a_publish_without_subscriber_is_acknowledged_with_16(broker: Broker) -> None:
    reader, writer = await raw(broker, CONNECT_V5, PUBLISH_1)
    connack = await reader.readexactly(2)
    await reader.readexactly(connack[1])
    assert await reader.readexactly(5) == bytes.fromhex("4003000710")
    writer.close()


async def test_under_3_1_1_the_acknowledgement_proves_nothing() -> None:
    async with Broker(faults=Faults(refuse_publish={"#": 0x87})) as broker:
        v3_connect = bytes.fromhex("100d00044d5154540402003c000161")
        reader, writer = await raw(broker, v3_connect, bytes.fromhex("32070001740007") + b"hi")
        assert await reader.readexactly(8) == bytes.fromhex("2002000040020007")
        writer.close()


async def test_a_frame_that_is_not_mqtt_ends_the_connection_and_only_that(broker: Broker) -> None:
    reader, _ = await raw(broker, b"\xff" * 8)
    assert await asyncio.wait_for(reader.read(), 5) in (b"", bytes.fromhex("e00181"))
    reader, writer = await raw(broker, CONNECT_V5)
    assert (await reader.readexactly(1)) == b"\x20"
    writer.close()


async def test_a_second_connection_with_the_same_client_id_takes_over(broker: Broker) -> None:
    first, _ = await raw(broker, CONNECT_V5)
    await until(lambda: "a" in broker.clients)
    second, writer = await raw(broker, CONNECT_V5)
    assert (await first.read()).endswith(bytes.fromhex("e0018e"))
    assert (await second.readexactly(1)) == b"\x20"
    writer.close()


def paho(broker: Broker, acks: list[tuple[int, int]]) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, "pub", protocol=MQTTProtocolVersion.MQTTv5)
    client.on_publish = lambda _c, _u, mid, code, _p: acks.append((mid, code.value))
    client.connect(broker.host, broker.port)
    client.loop_start()
    return client


@pytest.mark.parametrize(
    ("faults", "answers"),
    [
        (Faults(), [(1, 16), (2, 16), (3, 16), (4, 16)]),
        (Faults(lose_ack_every=2), [(1, 16), (3, 16)]),
        (Faults(reverse_acks=4), [(4, 16), (3, 16), (2, 16), (1, 16)]),
        (Faults(refuse_publish={"t/#": 0x97}), [(1, 0x97), (2, 0x97), (3, 0x97), (4, 0x97)]),
        (Faults(refuse_above_bytes=3), [(1, 16), (2, 16), (3, 0x83), (4, 0x83)]),
        (Faults(never_acknowledge=True), []),
    ],
)
async def test_acknowledgements_misbehave_on_demand(faults: Faults, answers: list[tuple[int, int]]) -> None:
    acks: list[tuple[int, int]] = []
    async with Broker(faults=faults) as broker:
        client = await asyncio.to_thread(paho, broker, acks)
        for n in range(4):
            client.publish("t/1", b"x" * (n + 2), qos=1)
        await until(lambda: broker.acks == 4)
        await until(lambda: len(acks) == len(answers))
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    assert acks == answers


async def test_it_cuts_and_freezes_and_refuses_on_demand() -> None:
    faults = Faults(cut_after=1)
    async with Broker(faults=faults) as broker:
        reader, _ = await raw(broker, CONNECT_V5, PUBLISH_1, PUBLISH_1)
        try:
            received = await reader.read()
        except ConnectionResetError:
            received = b""
        assert received.count(bytes.fromhex("40030007")) <= 1
        faults.cut_after, faults.refuse_connect = 0, 0x88
        reader, _ = await raw(broker, CONNECT_V5)
        assert await reader.read() == bytes.fromhex("2003008800")
        faults.refuse_connect = 0
        faults.thawed.clear()
        reader, writer = await raw(broker, CONNECT_V5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.2)
        faults.thawed.set()
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"\x20"
        writer.close()


async def test_a_broker_without_mqtt_5_says_so_as_a_3_1_1_broker_would() -> None:
    async with Broker(levels=(V3,)) as broker:
        reader, _ = await raw(broker, CONNECT_V5)
        assert await reader.read() == bytes.fromhex("20020001")


async def test_the_module_prints_its_port_and_stops_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.broker", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = json.loads(await asyncio.wait_for(process.stdout.readline(), 10))
    _, writer = await asyncio.open_connection(said["host"], said["port"])
    writer.close()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.parametrize(
    ("pattern", "topic", "covered"),
    [
        ("a/b", "a/b", True), ("a/+", "a/b", True), ("a/+", "a/b/c", False), ("a/#", "a", True),
        ("a/#", "a/b/c", True), ("#", "a/b", True), ("#", "$SYS/x", False), ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True), ("a", "a/b", False), ("+", "", True), ("a/+/c", "a//c", True),
    ],
)  # fmt: skip
def test_wildcards_cover_what_the_standard_says(pattern: str, topic: str, covered: bool) -> None:
    assert matches(pattern, topic) is covered


@pytest.mark.parametrize("pattern", ["", "a#", "#/a", "a+/b", "a/b+"])
def test_a_filter_with_a_misplaced_wildcard_is_refused(pattern: str) -> None:
    assert not valid_filter(pattern)


@pytest.mark.parametrize("body", [b"\x00", b"\x00\x05ab", b"\x00\x01\xff"])
def test_text_that_is_cut_or_not_utf_8_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        Cursor(body).text()


def test_an_unknown_property_is_malformed() -> None:
    with pytest.raises(MalformedError):
        Cursor(struct.pack("!BB", 1, 0x7F)).properties()
