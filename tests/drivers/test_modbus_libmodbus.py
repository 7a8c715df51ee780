"""A meter that is not ours: a server written with libmodbus, compiled here, polled through ModbusBus."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.decode import Converter
from engine.errors import Refused
from gateway.site.profiles import load_profile

SOURCE = Path(__file__).with_name("libmodbus_meter.c")


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    program = tmp_path_factory.mktemp("libmodbus") / "meter"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", str(program), str(SOURCE), *flags], check=True)
    with subprocess.Popen([str(program)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield SimpleNamespace(port=int(process.stdout.readline()), device="", size=12)
        process.kill()


async def test_a_libmodbus_meter_is_polled(meter: SimpleNamespace, bus_to: Any, point_of: Any) -> None:
    profile = load_profile("eastron-sdm630")
    point = point_of(profile)
    bus = bus_to(meter, profile, timeout="2s")
    for _ in range(3):
        answer = await bus.poll(point)
        assert answer.flags == 0
        values = Converter(point.layout).values(answer.columns)
        assert values["voltage_l2_n_v"] == 1.5
        assert values["active_power_w"] == 26 * 1.5
        assert values["voltage_l3_l1_v"] == 102 * 1.5
        assert values["active_energy_import_wh"] == 36 * 1.5 * 1000
        assert Converter(point.layout).engine_values(answer.columns).export_mwh == int(37 * 1.5 * 1e6)


async def test_a_libmodbus_meter_refuses_registers_that_it_lacks(meter: SimpleNamespace, bus_to: Any) -> None:
    bus = bus_to(meter, timeout="2s")
    with pytest.raises(Refused) as caught:
        await bus.read_registers(1, 4, 399, 2)
    assert caught.value.code == 2
    assert await bus.read_registers(1, 4, 398, 2) == bytes.fromhex("43954000")  # 298.5
