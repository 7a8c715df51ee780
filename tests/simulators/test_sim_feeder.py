"""A feeder behind an IEC 104 station, read with APDUs typed from the standard."""

import asyncio
import struct
from pathlib import Path

import pytest

from engine.errors import ConfigError
from simulators.load_shape import Constant
from simulators.plant import Plant
from simulators.sim_feeder import SimFeeder, load_points

START_MS = 1_767_603_600_000
MAP = """
protocols = ["iec104"]
readings = [
  { quantity = "active_power", ioa = 1, type = "float", scale = 1000 },
  { quantity = "power_factor", ioa = 2, type = "scaled", scale = "1/1000" },
  { quantity = "active_energy_import", ioa = 10, type = "counter", scale = 100 },
]
"""
STARTDT = bytes.fromhex("68 04 07 00 00 00")
# I-frame 0: interrogation (100), one object, activation (6), common address 7, ioa 0, QOI 20
INTERROGATE = bytes.fromhex("68 0e 0000 0000 64 01 0600 0700 000000 14")
# I-frame 1: counter interrogation (101), QCC 5 = general, read
COUNTERS = bytes.fromhex("68 0e 0200 0000 65 01 0600 0700 000000 05")


async def answers(reader: asyncio.StreamReader, type_: int) -> bytes:
    """The information objects of the next ASDU of a type."""
    while True:
        head = await asyncio.wait_for(reader.readexactly(2), 5)
        body = await reader.readexactly(head[1])
        if not body[0] & 1 and body[4] == type_:
            return body[10:]


async def test_a_feeder_shows_its_power_and_its_counter(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAP, encoding="utf-8")
    now = [START_MS]
    feeder = SimFeeder(
        "f", load_points("m", tmp_path), Constant(36_000_000, 27_000_000), lambda: now[0], common_address=7,
        start_ms=START_MS, starts_mwh={"active_energy_import": 100_000 * (2**31 - 1)},
    )  # fmt: skip
    plant = Plant([feeder], lambda: now[0])
    await feeder.station.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", feeder.station.port)
    try:
        writer.write(STARTDT + INTERROGATE)
        assert await answers(reader, 13) == bytes((1, 0, 0)) + struct.pack("<f", 36.0) + b"\0"
        writer.write(COUNTERS)
        first = await answers(reader, 15)
        now[0] += 25_000  # 36 kW for 25 s = 250 Wh = 2.5 counts
        writer.write(bytes.fromhex("68 0e 0400 0000 65 01 0600 0700 000000 05"))
        second = await answers(reader, 15)
    finally:
        writer.close()
        await feeder.station.stop()
    counts = [struct.unpack("<i", objects[3:7])[0] for objects in (first, second)]
    assert counts == [2**31 - 1, 1]
    assert plant.truth()["meters"]["f"]["counters"]["active_energy_import"] == {
        "first_mwh": 100_000 * (2**31 - 1), "last_mwh": 100_000, "delivered_mwh": 200_000, "resets": 0,
    }  # fmt: skip


async def test_its_faults_come_with_the_next_advance_and_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAP, encoding="utf-8")
    now = [START_MS]
    points = load_points("m", tmp_path)
    feeder = SimFeeder("f", points, Constant(1), lambda: now[0], common_address=7, start_ms=START_MS)
    plant = Plant([feeder], lambda: now[0])
    plant.order("f:silent@1s+1s")
    plant.order("*:nan@2s")
    seen = []
    for _ in range(3):
        plant.advance()
        seen.append((feeder.station.faults.silent, feeder.station.faults.quality))
        now[0] += 1_000
    assert seen == [(False, 0), (True, 0), (False, 0x80)]
    with pytest.raises(ConfigError, match="f cannot play the fault unit"):
        plant.order("f:unit")


@pytest.mark.parametrize("text", ["", "readings = 3", 'readings = [{ quantity = "x", ioa = 1, type = "int16" }]'])
def test_what_is_no_point_map_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"m\.toml is not a point map"):
        load_points("m", tmp_path)
