"""The grammar of faults, and each wire fault on a raw socket: what comes is what the fault's sentence says."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from engine.errors import ConfigError
from simulators.encode import RegisterRow
from simulators.faults import KINDS, Fault, FaultBook, parse_order
from simulators.framing import crc16
from simulators.load_shape import Constant
from simulators.modbus_meter import Framing, Line, TcpLine
from simulators.plant import Plant
from simulators.register_map import RegisterMap
from simulators.sim_meter import SimMeter

START_MS = 1_767_603_600_000
POWER = RegisterMap("m", (RegisterRow("active_power", 3, 0, "int32"),))
ASK = bytes.fromhex("03 0000 0002")
GOOD = bytes.fromhex("03 04 00002710")


class Master:
    """A raw socket towards one simulated meter, and the clock that both see."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        meter = SimMeter("m", POWER, Constant(10_000_000), start_ms=START_MS)
        self.plant = Plant([meter], lambda: self.now_ms)
        self.line = Line({1: meter}, self.plant.clock)
        self._lines: list[TcpLine] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, framing: Framing) -> None:
        line = TcpLine(self.line, framing)
        await line.start()
        self._lines.append(line)
        self.reader, writer = await asyncio.open_connection(line.host, line.port)
        self._writers.append(writer)
        self._framing = framing

    def send(self, pdu: bytes = ASK, *, transaction: int = 0x0A0B, unit: int = 1) -> None:
        body = bytes((unit,)) + pdu
        if self._framing == "mbap":
            self._writers[-1].write(struct.pack(">HHH", transaction, 0, len(body)) + body)
        else:
            self._writers[-1].write(body + crc16(body).to_bytes(2, "little"))

    async def ask(self, size: int, pdu: bytes = ASK) -> bytes:
        """The next `size` bytes that come for a request."""
        self.send(pdu)
        return await asyncio.wait_for(self.reader.readexactly(size), 5)

    async def heard(self) -> None:
        """Return once all that was sent has been dealt with: a stranger's refusal comes at once, and last."""
        self.send(unit=99)
        assert await asyncio.wait_for(self.reader.readexactly(9), 5) == mbap(bytes.fromhex("830b"), unit=99)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        for line in self._lines:
            await line.close()


@pytest.fixture
async def master() -> AsyncIterator[Master]:
    found = Master()
    yield found
    await found.close()


def mbap(pdu: bytes, *, transaction: int = 0x0A0B, unit: int = 1) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def rtu(pdu: bytes, *, unit: int = 1) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


async def test_without_a_fault_the_answer_is_the_meters(master: Master) -> None:
    await master.connect("mbap")
    assert await master.ask(13) == mbap(GOOD)
    await master.connect("rtu")
    assert await master.ask(9) == rtu(GOOD)


@pytest.mark.parametrize(
    ("order", "pdu", "unit", "transaction"),
    [
        ("exception", bytes.fromhex("8304"), 1, 0x0A0B),
        ("exception=6", bytes.fromhex("8306"), 1, 0x0A0B),
        ("length", bytes.fromhex("03 02 0000"), 1, 0x0A0B),
        ("count", bytes.fromhex("03 06 00002710"), 1, 0x0A0B),
        ("unit", GOOD, 2, 0x0A0B),
        ("function", bytes.fromhex("04 04 00002710"), 1, 0x0A0B),
        ("transaction", GOOD, 1, 0x0A0C),
    ],
)
async def test_a_wrong_answer_is_wrong_in_the_named_way_only(
    master: Master, order: str, pdu: bytes, unit: int, transaction: int
) -> None:
    master.plant.order(f"m:{order}")
    expected = mbap(pdu, unit=unit, transaction=transaction)
    await master.connect("mbap")
    assert await master.ask(len(expected)) == expected
    await master.connect("rtu")
    assert await master.ask(len(rtu(pdu, unit=unit))) == rtu(pdu, unit=unit)


async def test_a_silent_meter_says_nothing_until_its_fault_ends(master: Master) -> None:
    master.plant.order("m:silent@1s+2s")
    await master.connect("mbap")
    assert await master.ask(13) == mbap(GOOD)
    master.now_ms += 1_000
    master.send(transaction=1)
    await master.heard()
    master.now_ms += 1_999
    master.send(transaction=2)
    await master.heard()
    master.now_ms += 1
    master.send(transaction=3)
    assert await asyncio.wait_for(master.reader.readexactly(13), 5) == mbap(GOOD, transaction=3)


async def test_a_late_answer_comes_after_a_later_one_that_is_in_time(master: Master) -> None:
    master.plant.order("m:late=500ms+1s")
    await master.connect("mbap")
    master.send(transaction=1)
    await master.heard()
    master.now_ms += 1_000
    master.send(transaction=2)
    both = await asyncio.wait_for(master.reader.readexactly(26), 5)
    assert both == mbap(GOOD, transaction=2) + mbap(GOOD, transaction=1)


async def test_a_split_answer_is_whole_in_the_end(master: Master) -> None:
    master.plant.order("m:split")
    await master.connect("rtu")
    master.send()
    first = await asyncio.wait_for(master.reader.read(64), 5)
    rest = await asyncio.wait_for(master.reader.readexactly(9 - len(first)), 5)
    assert len(first) < 9
    assert first + rest == rtu(GOOD)


async def test_a_merged_answer_carries_the_previous_one_in_front(master: Master) -> None:
    await master.connect("rtu")
    assert await master.ask(9) == rtu(GOOD)
    master.plant.order("m:merged")
    assert await master.ask(18) == rtu(GOOD) * 2


async def test_noise_on_rtu_never_leaves_a_right_check_sum(master: Master) -> None:
    master.plant.order("m:noise")
    await master.connect("rtu")
    for _ in range(200):
        data = await master.ask(9)
        assert data != rtu(GOOD)
        assert crc16(data[:-2]) != int.from_bytes(data[-2:], "little")


async def test_noise_on_tcp_spoils_the_protocol_id_and_nothing_else(master: Master) -> None:
    master.plant.order("m:noise")
    await master.connect("mbap")
    data = await master.ask(13)
    assert data[2:4] != b"\0\0"
    assert data[:2] + b"\0\0" + data[4:] == mbap(GOOD)


async def test_a_strange_unit_is_refused_on_tcp_and_ignored_on_rtu(master: Master) -> None:
    await master.connect("mbap")
    master.send(unit=9)
    assert await asyncio.wait_for(master.reader.readexactly(9), 5) == mbap(bytes.fromhex("830b"), unit=9)
    await master.connect("rtu")
    master.send(unit=9)
    assert await master.ask(9) == rtu(GOOD)


async def test_a_cleared_meter_is_in_order_again(master: Master) -> None:
    for order in ("m:exception", "*:unit", "m:clear"):
        master.plant.order(order)
    await master.connect("mbap")
    assert await master.ask(13) == mbap(GOOD)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("m:silent", Fault("silent", 1_000)),
        ("m:silent@20s+15s", Fault("silent", 21_000, 36_000)),
        ("press-1:exception=6", Fault("exception", 1_000, None, 6)),
        ("*:late=300ms@1m", Fault("late", 61_000, None, 300)),
        ("m:late", Fault("late", 1_000, None, 1_500)),
        ("m:rollover@500ms", Fault("rollover", 1_500, None, 100)),
        (" m:zero+2h ", Fault("zero", 1_000, 7_201_000)),
    ],
)
def test_a_fault_line_says_what_when_and_how_long(text: str, fault: Fault) -> None:
    assert parse_order(text, 1_000).fault == fault


@pytest.mark.parametrize("text", ["", "m", "m:", "m:sleepy", "m:silent@20", "m:silent+5", "M:silent", "m:silent@1d"])
def test_a_line_that_is_no_fault_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(ConfigError, match="is not understood") as caught:
        parse_order(text, 0)
    assert "silent" in caught.value.hint


def test_an_unknown_meter_is_refused_with_the_names_that_exist(master: Master) -> None:
    with pytest.raises(ConfigError, match="no simulated meter is called 'x'") as caught:
        master.plant.order("x:silent")
    assert "m" in caught.value.hint


def test_a_book_refuses_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown fault 'sleepy'"):
        FaultBook().add(Fault("sleepy", 0))


def test_every_kind_can_be_ordered() -> None:
    assert [parse_order(f"m:{kind}", 0).fault for kind in KINDS] == [
        Fault(kind, 0, None, {"late": 1500, "exception": 4, "rollover": 100}.get(kind, 0)) for kind in KINDS
    ]
