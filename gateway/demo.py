"""The demo: plant, broker and gateway as processes of their own on loopback, and a subscriber that counts."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, GatewayError, NotRunning
from gateway.live import LiveReader
from gateway.receipt import Receipt

READY_WITHIN_S = 90.0
STOP_WITHIN_S = 6.0
TELL_EVERY_S = 10.0
MOSQUITTO_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class Demo:
    """Ends at Ctrl-C, SIGTERM or after its time; every process it started ends with it."""

    def __init__(self, path: Path, web_port: int, meters: int, language: str) -> None:
        self._path, self._web_port = path.absolute(), web_port
        self._meters, self._language = meters, language

    async def run(self, span_ms: int | None) -> int:
        """Exit code 0 after a clean end. Raises GatewayError if something does not start."""
        _refuse_taken(self._web_port)
        self._path.mkdir(parents=True, exist_ok=True)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if not await _prepare_kernels(stop):
            return 0
        async with AsyncExitStack() as stack:
            broker_port = await self._broker(stack)
            plant = await self._plant(stack)
            config = self._configure(plant["site_toml"], broker_port)
            receipt = stack.enter_context(Receipt("127.0.0.1", broker_port))
            gateway = await stack.enter_async_context(_child("gateway", "gateway", "run", "-c", str(config)))
            await self._until_live(gateway, receipt, stop)
            if not stop.is_set():
                print(f"ready http://127.0.0.1:{self._web_port} mqtt://127.0.0.1:{broker_port}", flush=True)
            await _watch(gateway, receipt, stop, span_ms)
        print(receipt.sentence(), flush=True)
        return 0

    async def _broker(self, stack: AsyncExitStack) -> int:
        """Mosquitto when it is there, else the simulators' broker; returns its port."""
        found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *MOSQUITTO_PLACES]))
        if found is None:
            process = await stack.enter_async_context(
                _child("broker", "simulators.broker", "--port", "0", stdout=asyncio.subprocess.PIPE)
            )
            return int((await _first_line(process, "the broker"))["port"])
        port = _free_port()
        config = self._path / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n")
        await stack.enter_async_context(_command("broker", [found, "-c", str(config)]))
        await _until_open(port)
        return port

    async def _plant(self, stack: AsyncExitStack) -> dict[str, Any]:
        process = await stack.enter_async_context(
            _child(
                "plant", "simulators.simulate", "--demo-json", "--control", "--meters", str(self._meters),
                "--language", self._language, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )
        )
        return await _first_line(process, "the simulated plant")

    def _configure(self, site_toml: str, broker_port: int) -> Path:
        """site.toml of the demo; a simulated plant needs no proof of the time."""
        config = self._path / "site.toml"
        config.write_text(
            site_toml.replace("[site]\n", '[site]\nclock = "trust"\n', 1)
            + f'\n[store]\npath = "{self._path / "store"}"\ncommit_interval = "2s"\n'
            + f'\n[mqtt]\nurl = "mqtt://127.0.0.1:{broker_port}"\n'
            + f'\n[web]\nlisten = "127.0.0.1:{self._web_port}"\n',
            encoding="utf-8",
        )
        return config

    async def _until_live(self, gateway: asyncio.subprocess.Process, receipt: Receipt, stop: asyncio.Event) -> None:
        live = LiveReader(self._path / "store" / "run", lambda: time.time_ns() // 1_000_000)
        deadline = time.monotonic() + READY_WITHIN_S
        while not stop.is_set():
            if gateway.returncode is not None:
                raise GatewayError("the gateway did not start", hint="the lines above say why")
            if (live.read() or {}).get("meters") and receipt.live and _open(self._web_port):
                return
            if time.monotonic() > deadline:
                raise NotRunning(f"nothing was live within {READY_WITHIN_S:.0f} s", hint=f"see {self._path}")
            await asyncio.sleep(0.1)


async def _watch(
    gateway: asyncio.subprocess.Process, receipt: Receipt, stop: asyncio.Event, span_ms: int | None
) -> None:
    """Tell what arrives until it ends."""
    deadline = None if span_ms is None else time.monotonic() + span_ms / 1000
    next_line = time.monotonic() + TELL_EVERY_S
    while not stop.is_set() and (deadline is None or time.monotonic() < deadline):
        if gateway.returncode is not None:
            raise GatewayError(f"the gateway ended with {gateway.returncode}", hint="the lines above say why")
        if time.monotonic() >= next_line:
            next_line += TELL_EVERY_S
            print(receipt.sentence(), flush=True)
        await asyncio.sleep(0.1)


async def _prepare_kernels(stop: asyncio.Event) -> bool:
    """Compile the engine's kernels ahead in a process of their own, telling what takes time. False if stopped."""
    lines = "from engine.ledger import warm_up; warm_up(lambda line: print(line, flush=True))"
    async with _command("the compiler", [sys.executable, "-c", lines]) as process:
        ends = [asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if process.returncode:
            raise GatewayError("the energy kernels cannot be compiled", hint="wattledger doctor")
        return not stop.is_set()


@asynccontextmanager
async def _command(name: str, command: Sequence[str], **pipes: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process in a group of its own, ended by SIGTERM, after a while by SIGKILL."""
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **pipes)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
            except TimeoutError:
                print(f"{name} did not stop and is killed", file=sys.stderr)
                process.kill()
                await process.wait()


def _child(
    name: str, module: str, *args: str, **pipes: Any
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return _command(name, [sys.executable, "-m", module, *args], **pipes)


async def _first_line(process: asyncio.subprocess.Process, what: str) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise GatewayError(f"{what} did not start", hint="the lines above say why")
    said: dict[str, Any] = json.loads(line)
    return said


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _until_open(port: int) -> None:
    for _ in range(100):
        if _open(port):
            return
        await asyncio.sleep(0.05)
    raise GatewayError(f"the broker does not listen on port {port}", hint="try: mosquitto -v -p 0")


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"port {port} for the page: {error.strerror}",
                hint=f"see who has it: ss -ltnp 'sport = :{port}', or use another: wattledger demo --port {port + 1}",
            ) from error
