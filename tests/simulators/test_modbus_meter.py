"""Simulated meters as a foreign master sees them: mbpoll (libmodbus) over TCP, and over RTU on a pseudo-terminal."""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import struct
import termios
from collections.abc import AsyncIterator

import pytest

from simulators.load_shape import Constant
from simulators.modbus_meter import QUIET_S, Line, PtyLine, TcpLine, line_ms
from simulators.plant import Plant
from simulators.register_map import load_map
from simulators.sim_meter import SimMeter

START_MS = 1_767_603_600_000
KW = 1_000_000
TIOCGEXCL = 0x80045440  # Linux: is the terminal exclusive?


async def mbpoll(*arguments: str) -> dict[int, float]:
    """What mbpoll prints: address → value. Asserts that it was content."""
    program = shutil.which("mbpoll")
    assert program, "mbpoll is needed: apt-get install mbpoll"
    process = await asyncio.create_subprocess_exec(
        program, "-0", "-1", "-q", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, output.decode()
    return {int(at): float(value) for at, value in re.findall(r"\[(\d+)\]:\s+(-?[\d.e+]+)", output.decode())}


def meters() -> dict[int, SimMeter]:
    eastron = SimMeter(
        "eastron", load_map("eastron-sdm630"), Constant(12_500_000, 3 * KW),
        start_ms=START_MS, starts_mwh={"active_energy_import": 4_096_500_000},
    )  # fmt: skip
    acrel = SimMeter(
        "acrel", load_map("acrel-dtsd1352"), Constant(36 * KW), start_ms=START_MS,
        starts_mwh={"active_energy_import": 4_000_000_000}, scales={"ct": 40},
    )  # fmt: skip
    return {1: eastron, 17: acrel}


@pytest.fixture
async def tcp() -> AsyncIterator[TcpLine]:
    line = TcpLine(Line(meters(), lambda: START_MS), "mbap")
    await line.start()
    yield line
    await line.close()


@pytest.fixture
async def pty() -> AsyncIterator[PtyLine]:
    line = PtyLine(Line(meters(), lambda: START_MS), baud=115_200)
    await line.start()
    yield line
    await line.close()


async def test_mbpoll_reads_floats_over_tcp(tcp: TcpLine) -> None:
    where = ("-m", "tcp", "-p", str(tcp.port), "-a", "1", "-t", "3:float", "-B", tcp.host)
    assert await mbpoll("-r", "52", "-c", "1", *where) == {52: 12_500}
    assert await mbpoll("-r", "72", "-c", "1", *where) == {72: 4_096.5}


async def test_mbpoll_reads_another_unit_behind_the_same_port(tcp: TcpLine) -> None:
    where = ("-m", "tcp", "-p", str(tcp.port), "-a", "17", tcp.host)
    assert await mbpoll("-t", "4:int", "-B", "-r", "10", "-c", "1", *where) == {10: 10_000}  # of 400 Wh
    assert await mbpoll("-t", "4", "-r", "141", "-c", "2", *where) == {141: 1, 142: 40}


async def test_mbpoll_reads_over_rtu_on_a_pseudo_terminal_twice(pty: PtyLine) -> None:
    where = ("-m", "rtu", "-b", "115200", "-P", "none", "-t", "3:float", "-B", "-r", "52", "-c", "1", pty.path)
    assert await mbpoll("-a", "1", *where) == {52: 12_500}
    assert await mbpoll("-a", "1", *where) == {52: 12_500}


async def test_mbpoll_is_told_that_an_address_does_not_exist(tcp: TcpLine) -> None:
    with pytest.raises(AssertionError, match="Illegal data address"):
        await mbpoll("-m", "tcp", "-p", str(tcp.port), "-a", "1", "-t", "3", "-r", "9000", "-c", "2", tcp.host)


async def test_a_hundred_masters_ask_at_once_and_each_gets_its_answer(tcp: TcpLine) -> None:
    async def ask(number: int) -> bytes:
        reader, writer = await asyncio.open_connection(tcp.host, tcp.port)
        writer.write(number.to_bytes(2, "big") + bytes.fromhex("0000 0006 01 04 0034 0002"))
        answer = await reader.readexactly(13)
        writer.close()
        return answer

    answers = await asyncio.gather(*(ask(n) for n in range(100)))
    expected = bytes.fromhex("0000 0007 01 04 04 46435000")  # 12,500 as float32
    assert answers == [n.to_bytes(2, "big") + expected for n in range(100)]


async def test_a_port_that_is_taken_is_an_error(tcp: TcpLine) -> None:
    with pytest.raises(OSError, match="in use"):
        await TcpLine(Line({}, lambda: START_MS), "mbap", port=tcp.port).start()


async def test_a_closed_line_cuts_its_masters_off(tcp: TcpLine) -> None:
    reader, writer = await asyncio.open_connection(tcp.host, tcp.port)
    writer.write(bytes.fromhex("0001 0000 0006 01 04 0034 0002"))
    await reader.readexactly(13)
    await tcp.close()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_a_master_that_marks_the_terminal_exclusive_leaves_it_free(pty: PtyLine) -> None:
    master = os.open(pty.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(master, termios.TIOCEXCL)
        os.write(master, bytes.fromhex("01 04 0034 0002 3005"))
        answer = b""
        while len(answer) < 9:
            await asyncio.sleep(0.01)
            with contextlib.suppress(BlockingIOError):
                answer += os.read(master, 64)
        exclusive = struct.unpack("i", fcntl.ioctl(master, TIOCGEXCL, bytes(4)))[0]
    finally:
        os.close(master)
    assert answer[:7] == bytes.fromhex("01 04 04 46435000")
    assert exclusive == 0


async def test_on_rtu_a_broken_off_frame_does_not_swallow_the_next() -> None:
    line = TcpLine(Line(meters(), lambda: START_MS), "rtu")
    await line.start()
    reader, writer = await asyncio.open_connection(line.host, line.port)
    writer.write(bytes.fromhex("01 10 0000 0080 ff"))  # announces 255 bytes that never come
    await asyncio.sleep(3 * QUIET_S)
    writer.write(bytes.fromhex("01 04 0034 0002 3005"))
    answer = await asyncio.wait_for(reader.readexactly(9), 5)
    writer.close()
    await line.close()
    assert answer[:7] == bytes.fromhex("01 04 04 46435000")


def test_a_line_takes_eleven_bits_a_byte_and_a_turnaround() -> None:
    assert line_ms(96, 9600) == 115
    assert line_ms(96, None) == 0


def test_records_are_of_what_was_shown() -> None:
    units = meters()
    plant = Plant(units.values(), lambda: START_MS)
    assert set(plant.meters) == {"eastron", "acrel"}
    units[17].answer(bytes.fromhex("03 0000 003c"), START_MS)
    assert plant.truth()["meters"]["acrel"]["counters"]["active_energy_import"]["last_mwh"] == 4_000_000_000
