"""The simulator's own process: one line when ready, fault lines on stdin, the truth on disk, a clean end."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from simulators.simulate import SimulateOptions, build, main

ASK = bytes.fromhex("0001 0000 0006 01 04 0034 0002")


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.simulate", *arguments, cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def ready(started: asyncio.subprocess.Process) -> dict[str, Any]:
    assert started.stdout is not None
    line: dict[str, Any] = json.loads(await asyncio.wait_for(started.stdout.readline(), 20))
    assert line["ready"] is True
    return line


async def test_a_meter_answers_takes_faults_from_stdin_and_ends_with_it(tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    async with process("--json", "--control", "--truth", str(truth)) as started:
        endpoint = (await ready(started))["endpoints"][0]
        reader, writer = await asyncio.open_connection(endpoint["host"], endpoint["port"])
        writer.write(ASK)
        assert (await asyncio.wait_for(reader.readexactly(13), 5))[7] == 4
        assert started.stdin is not None
        assert started.stderr is not None
        started.stdin.write(b"sim-1:exception=6\nnonsense\n")
        assert b"'nonsense' is not understood" in await asyncio.wait_for(started.stderr.readline(), 5)
        writer.write(ASK)
        assert (await asyncio.wait_for(reader.readexactly(9), 5))[7:] == b"\x84\x06"
        writer.write(bytes.fromhex("0001 0000 0006 01 04 0048 0002"))
        assert (await asyncio.wait_for(reader.readexactly(9), 5))[7:] == b"\x84\x06"
        started.stdin.close()
        assert await asyncio.wait_for(started.wait(), 10) == 0
        writer.close()
    report = json.loads(truth.read_text(encoding="utf-8"))["meters"]["sim-1"]
    assert report["true_mwh"]["active_energy_import"] > 0
    assert report["answers"] == 0  # what came under a fault is in the log, not in the record
    assert [in_order for _, _, in_order in report["log"]] == [False]


async def test_the_demo_plant_is_announced_on_one_line_and_stops_on_sigterm(tmp_path: Path) -> None:
    async with process("--demo-json", "--meters", "10", "--language", "zh") as started:
        line = await ready(started)
        assert "进线总表" in line["site_toml"]
        assert sum(len(endpoint["meters"]) for endpoint in line["endpoints"]) == 10
        started.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(started.wait(), 5) == 0


async def test_a_taken_port_and_a_missing_recording_end_with_exit_3_and_a_hint(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with process("--port", str(port)) as started:
        _, errors = await asyncio.wait_for(started.communicate(), 20)
        assert (started.returncode, b"ss -ltnp" in errors) == (3, True)
    server.close()
    async with process("--replay", str(tmp_path / "none.csv")) as started:
        _, errors = await asyncio.wait_for(started.communicate(), 20)
        assert (started.returncode, b"none.csv" in errors) == (3, True)


async def test_an_unwritable_truth_ends_with_exit_7(tmp_path: Path) -> None:
    async with process("--truth", str(tmp_path / "no" / "truth.json")) as started:
        _, errors = await asyncio.wait_for(started.communicate(), 20)
        assert (started.returncode, b"cannot be written" in errors) == (7, True)


async def test_meters_are_dealt_over_profiles_protocols_and_ports() -> None:
    options = SimulateOptions(
        meters=6, profiles=("eastron-sdm630", "abb-b23"), protocols=("modbus-tcp", "modbus-rtu", "iec104")
    )
    simulation = build(options)
    await simulation.start()
    endpoints = simulation.endpoints()
    await simulation.close()
    shape = [(e["protocol"], [(m["id"], m["unit"], m["profile"]) for m in e["meters"]]) for e in endpoints]
    assert shape == [
        ("modbus-tcp", [("sim-1", 1, "eastron-sdm630")]),
        ("modbus-rtu", [("sim-2", 1, "abb-b23"), ("sim-5", 2, "eastron-sdm630")]),
        ("iec104", [("sim-3", 1, "iec104-typical")]),
        ("modbus-tcp", [("sim-4", 1, "abb-b23")]),
        ("iec104", [("sim-6", 1, "iec104-typical")]),
    ]


async def test_one_port_puts_a_hundred_units_behind_it() -> None:
    simulation = build(SimulateOptions(meters=100, one_port=True))
    assert [len(wire.meters) for wire in simulation.specs] == [100]
    with pytest.raises(ConfigError, match="at most 247 units"):
        build(SimulateOptions(meters=300, one_port=True))


async def test_a_replayed_load_drives_the_first_meter(tmp_path: Path) -> None:
    (tmp_path / "load.csv").write_text("0,1.5,0.5\n3600,2,0\n", encoding="utf-8")
    plant = build(SimulateOptions(replay=tmp_path / "load.csv")).plant
    assert plant.meters["sim-1"].value("active_power") == 1_500_000
    assert plant.meters["sim-1"].value("reactive_power") == 500_000


@pytest.mark.parametrize(
    "options", [SimulateOptions(meters=0), SimulateOptions(meters=10**6), SimulateOptions(profiles=("no-such",))]
)
def test_what_cannot_be_simulated_is_refused(options: SimulateOptions) -> None:
    with pytest.raises(ConfigError) as caught:
        build(options)
    assert caught.value.hint


def test_a_bad_option_ends_with_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--replay-speed", "0"]) == main(["--meters", "0"]) == 3
    assert "--replay-speed" in capsys.readouterr().err
