"""The simulated IEC 104 station on raw sockets: typed bytes in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from simulators.iec104_points import PointSource
from simulators.iec104_session import Timing
from simulators.iec104_station import Iec104Station

PATIENCE_S = 10.0
NOON_MS = 1_795_161_603_120  # 2026-11-20 08:00:03.120 UTC
INIT = "68 0E 00 00 00 00 46 01 04 00 01 00 00 00 00 00"
QUICK = Timing(k=2, w=2, t1_s=0.4, t2_s=0.2, t3_s=0.3)


class Client:
    """Sends and reads APDUs as hex."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, *apdus: str) -> None:
        for apdu in apdus:
            self._writer.write(bytes.fromhex(apdu))

    async def read(self) -> str:
        head = await asyncio.wait_for(self._reader.readexactly(2), PATIENCE_S)
        return (head + await self._reader.readexactly(head[1])).hex(" ").upper()

    async def expect(self, *apdus: str) -> None:
        for apdu in apdus:
            assert await self.read() == apdu

    async def start(self) -> None:
        self.send("68 04 07 00 00 00")
        await self.expect("68 04 0B 00 00 00", INIT)

    async def ended(self) -> bool:
        try:
            return await asyncio.wait_for(self._reader.read(), PATIENCE_S) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._writer.transport.abort()


@pytest.fixture
async def station_of() -> AsyncIterator[Callable[..., Any]]:
    stations: list[Iec104Station] = []

    async def build(points: dict[tuple[int, int], PointSource], **options: Any) -> Iec104Station:
        stations.append(Iec104Station(points, clock_ms=lambda: NOON_MS, **options))
        await stations[-1].start()
        return stations[-1]

    yield build
    for station in stations:
        await station.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Iec104Station], Any]]:
    clients: list[Client] = []

    async def build(station: Iec104Station) -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", station.port)))
        return clients[-1]

    yield build
    for client in clients:
        client.close()


def points() -> dict[tuple[int, int], PointSource]:
    return {
        (1, 1): PointSource("float", lambda: 100.0),
        (1, 2): PointSource("float", lambda: -2.5),
        (1, 3): PointSource("scaled", lambda: -2),
        (1, 4): PointSource("normalized", lambda: -1.0),
        (1, 100): PointSource("counter", lambda: 12345),
        (1, 200): PointSource("counter", lambda: 7),
    }


async def test_a_general_interrogation_is_confirmed_answered_and_ended(station_of: Any, connect: Any) -> None:
    client = await connect(await station_of(points()))
    await client.start()
    client.send("68 0E 00 00 02 00 64 01 06 00 01 00 00 00 00 14")
    await client.expect(
        "68 0E 02 00 02 00 64 01 07 00 01 00 00 00 00 14",
        "68 10 04 00 02 00 09 01 14 00 01 00 04 00 00 00 80 00",
        "68 10 06 00 02 00 0B 01 14 00 01 00 03 00 00 FE FF 00",
        "68 17 08 00 02 00 0D 82 14 00 01 00 01 00 00 00 00 C8 42 00 00 00 20 C0 00",
        "68 0E 0A 00 02 00 64 01 0A 00 01 00 00 00 00 14",
    )


async def test_a_counter_interrogation_reports_counters_one_by_one_and_keeps_a_record(
    station_of: Any, connect: Any
) -> None:
    station = await station_of(points())
    client = await connect(station)
    await client.start()
    client.send("68 0E 00 00 02 00 65 01 06 00 01 00 00 00 00 05")
    await client.expect(
        "68 0E 02 00 02 00 65 01 07 00 01 00 00 00 00 05",
        "68 1A 04 00 02 00 0F 02 25 00 01 00 64 00 00 39 30 00 00 00 C8 00 00 07 00 00 00 00",
        "68 0E 06 00 02 00 65 01 0A 00 01 00 00 00 00 05",
    )
    assert {key: (shown.first, shown.last) for key, shown in station.shown.items()} == {
        (1, 100): (12345, 12345),
        (1, 200): (7, 7),
    }


async def test_tagged_counters_and_spontaneous_values_carry_the_station_s_time(
    station_of: Any, connect: Any
) -> None:
    station = await station_of(points(), tagged_counters=True)
    client = await connect(station)
    await client.start()
    client.send("68 0E 00 00 02 00 65 01 06 00 01 00 00 00 00 05")
    await client.read()
    assert (await client.read()).endswith(
        "25 02 25 00 01 00 64 00 00 39 30 00 00 00 30 0C 00 08 B4 0B 1A C8 00 00 07 00 00 00 00 30 0C 00 08 B4 0B 1A"
    )
    await client.read()
    station.faults.tag_invalid = True
    station.report([(1, 1)], tagged=True)
    await client.expect("68 19 08 00 02 00 24 01 03 00 01 00 01 00 00 00 00 C8 42 00 30 0C 80 08 B4 0B 1A")
    station.faults.tag_invalid, station.faults.tag_offset_ms = False, -3_600_000
    station.report([(1, 1)], tagged=True)
    await client.expect("68 19 0A 00 02 00 24 01 03 00 01 00 01 00 00 00 00 C8 42 00 30 0C 00 07 B4 0B 1A")


async def test_a_roll_over_sets_carry_once_and_a_freeze_counts_its_sequence(station_of: Any, connect: Any) -> None:
    count = [(1 << 31) - 1]
    station = await station_of({(1, 100): PointSource("counter", lambda: count[0])}, timing=Timing(k=100))
    client = await connect(station)
    await client.start()
    found = []
    for number, (qualifier, step) in enumerate(((0x05, 0), (0x05, 2), (0x05, 1), (0x45, 5), (0x05, 9))):
        count[0] += step
        client.send(f"68 0E {2 * number:02X} 00 02 00 65 01 06 00 01 00 00 00 00 {qualifier:02X}")
        while " 65 01 0A " not in (apdu := await client.read()):
            if " 0F 01 25 " in apdu:
                found.append(apdu[-14:])
    assert found == ["FF FF FF 7F 00", "01 00 00 00 20", "02 00 00 00 00", "07 00 00 00 01"]
    assert station.shown[1, 100].delivered == 8


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("64 01 06 00 09 00 00 00 00 14", "64 01 6E 00 09 00 00 00 00 14"),  # unknown common address
        ("64 01 08 00 01 00 00 00 00 14", "64 01 6D 00 01 00 00 00 00 14"),  # deactivation: unknown cause
        ("2D 01 06 00 01 00 01 00 00 01", "2D 01 6C 00 01 00 01 00 00 01"),  # single command: unknown type
        ("65 01 06 00 01 00 00 00 00 C5", "65 01 47 00 01 00 00 00 00 C5"),  # counter reset: refused
    ],
)
async def test_what_a_station_must_not_do_it_refuses(
    station_of: Any, connect: Any, command: str, answer: str
) -> None:
    client = await connect(await station_of(points()))
    await client.start()
    client.send("68 0E 00 00 02 00 " + command)
    await client.expect("68 0E 02 00 02 00 " + answer)


async def test_nothing_is_sent_before_startdt_nor_after_stopdt(station_of: Any, connect: Any) -> None:
    station = await station_of(points())
    client = await connect(station)
    station.report([(1, 1)])
    client.send("68 04 43 00 00 00")
    await client.expect("68 04 83 00 00 00")
    await client.start()
    client.send("68 04 13 00 00 00")
    await client.expect("68 04 23 00 00 00")
    station.report([(1, 1)])
    client.send("68 04 43 00 00 00")
    await client.expect("68 04 83 00 00 00")


async def test_tagged_values_wait_for_a_client_and_untagged_ones_do_not(station_of: Any, connect: Any) -> None:
    station = await station_of(points())
    station.report([(1, 1)])
    station.report([(1, 2)], tagged=True)
    client = await connect(station)
    await client.start()
    await client.expect("68 19 02 00 00 00 24 01 03 00 01 00 02 00 00 00 00 20 C0 00 30 0C 00 08 B4 0B 1A")


async def test_no_more_than_k_frames_stand_unacknowledged(station_of: Any, connect: Any) -> None:
    station = await station_of(points(), timing=Timing(k=2))
    client = await connect(station)
    await client.start()  # the end of initialisation is the first of the two
    for _ in range(3):
        station.report([(1, 3)])
    await client.expect("68 10 02 00 00 00 0B 01 03 00 01 00 03 00 00 FE FF 00")
    client.send("68 04 43 00 00 00")
    await client.expect("68 04 83 00 00 00")  # not the third value: the window is full
    client.send("68 04 01 00 04 00")
    await client.expect(
        "68 10 04 00 00 00 0B 01 03 00 01 00 03 00 00 FE FF 00",
        "68 10 06 00 00 00 0B 01 03 00 01 00 03 00 00 FE FF 00",
    )


async def test_received_frames_are_acknowledged_after_w_or_after_t2(station_of: Any, connect: Any) -> None:
    station = await station_of(points(), timing=Timing(k=12, w=2, t1_s=9, t2_s=0.2, t3_s=9))
    station.faults.confirm = False
    client = await connect(station)
    await client.start()
    sync = "68 14 {:02X} 00 02 00 67 01 06 00 01 00 00 00 00 30 0C 00 08 B4 0B 1A"
    client.send(sync.format(0), sync.format(2))
    await client.expect("68 04 01 00 04 00")
    client.send(sync.format(4))
    await client.expect("68 04 01 00 06 00")


async def test_a_quiet_link_is_tested_and_dropped_if_the_test_stays_unanswered(
    station_of: Any, connect: Any
) -> None:
    client = await connect(await station_of(points(), timing=QUICK))
    await client.expect("68 04 43 00 00 00")
    client.send("68 04 83 00 00 00")
    await client.expect("68 04 43 00 00 00")
    assert await client.ended()


@pytest.mark.parametrize(
    "frame",
    [
        "68 0E 02 00 02 00 64 01 06 00 01 00 00 00 00 14",  # N(S) = 1 where 0 is due
        "68 04 01 00 08 00",  # acknowledges 4 of 1 sent
        "67 04 43 00 00 00",  # no start byte
    ],
)
async def test_a_client_that_breaks_the_protocol_is_dropped(station_of: Any, connect: Any, frame: str) -> None:
    client = await connect(await station_of(points()))
    await client.start()
    client.send(frame)
    assert await client.ended()


async def test_faults_silence_cut_and_colour_what_is_sent(station_of: Any, connect: Any) -> None:
    station = await station_of(points())
    client = await connect(station)
    await client.start()
    station.faults.quality, station.faults.cause = 0xC0, 10
    station.report([(1, 3)])
    await client.expect("68 10 02 00 00 00 0B 01 0A 00 01 00 03 00 00 FE FF C0")
    station.send_malformed(1, 1)
    await client.expect("68 12 04 00 00 00 0D 83 03 00 01 00 01 00 00 00 00 80 3F 00")
    station.faults.silent = True
    client.send("68 04 43 00 00 00")
    station.drop()
    assert await client.ended()


async def test_a_stopped_station_starts_again_on_its_port(station_of: Any, connect: Any) -> None:
    station = await station_of(points())
    port = station.port
    client = await connect(station)
    await client.start()
    await station.stop()
    assert await client.ended()
    await station.start()
    assert station.port == port
    await (await connect(station)).start()


async def test_many_objects_are_parted_at_the_longest_frame(station_of: Any, connect: Any) -> None:
    many = {(1, 1 + n): PointSource("float", lambda n=n: float(n)) for n in range(100)}
    client = await connect(await station_of(many))
    await client.start()
    client.send("68 0E 00 00 02 00 64 01 06 00 01 00 00 00 00 14")
    apdus = [bytes.fromhex(await client.read()) for _ in range(5)]
    assert [(len(a) - 2, a[7] & 0x7F, a[12]) for a in apdus[1:4]] == [(253, 48, 1), (253, 48, 49), (33, 4, 97)]
