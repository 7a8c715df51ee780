"""A real Mosquitto, an independent receiver, and an uplink over a paper ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the modules beside the tests, in every import mode of pytest

from paper_ledger import PaperLedger, write  # noqa: E402

from gateway.site.settings import Settings  # noqa: E402
from gateway.uplink.limits import Limits  # noqa: E402
from gateway.uplink.main import run_uplink  # noqa: E402

QUICK = Limits(
    ack_timeout_ms=400, no_subscriber_retry_ms=150, poll_ms=20, misc_ms=50, save_ms=50, recheck_ms=200,
    backoff_base_ms=100, backoff_cap_ms=300, backoff_slow_base_ms=100, backoff_slow_cap_ms=300,
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Mosquitto:
    """The broker people use; may be stopped, killed, frozen and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.directory = directory
        self.config = "allow_anonymous true\n"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.directory / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nmax_queued_messages 1000000\nuser root\n{self.config}")
        self._process = subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.DEVNULL)
        for _ in range(500):
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.01)
        raise AssertionError("mosquitto did not start")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(10)


class Receiver:
    """mosquitto_sub with a persistent session, writing down whatever arrives."""

    def __init__(self, port: int, directory: Path, *extra: str, topic: str = "wattledger/v1/#") -> None:
        self._file = directory / f"received-{time.monotonic_ns()}"
        command = ["mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", str(port), "-i", "receiver", "-c",
                   "-x", "3600", "-q", "1", "-t", topic, "-F", "%r %t %p", *extra]  # fmt: skip
        with self._file.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)

    def messages(self, topic: str) -> list[tuple[bool, Any]]:
        """(retained, payload) of what came on topics that end so; a line still being written is left out."""
        found = []
        for line in self._file.read_text().split("\n")[:-1]:
            retained, name, payload = line.split(" ", 2)
            if name.endswith(topic):
                found.append((retained == "1", json.loads(payload)))
        return found

    def batches(self, stream: str) -> list[Any]:
        return [payload for _, payload in self.messages(f"/{stream}")]

    def seqs(self, stream: str) -> list[int]:
        """Every seq that came, repetitions included, in order of arrival."""
        return [row["seq"] for batch in self.batches(stream) for row in batch["rows"]]

    def contiguous(self, stream: str) -> int:
        """The highest seq up to which every row came."""
        seen, seq = set(self.seqs(stream)), 0
        while seq + 1 in seen:
            seq += 1
        return seq

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)


def first_times(seqs: list[int]) -> list[int]:
    """What a receiver keeps that drops duplicates by seq."""
    return list(dict.fromkeys(seqs))


async def until(true: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def settings(store: Path, port: int, **mqtt: Any) -> Settings:
    tables = {"site": {"id": "p"}, "store": {"path": store}}
    return Settings.model_validate({**tables, "mqtt": {"url": f"mqtt://127.0.0.1:{port}", **mqtt}})


@contextlib.asynccontextmanager
async def uplink(given: Settings, **limits: Any) -> AsyncIterator[asyncio.Event]:
    """The uplink in this process; it has ended cleanly when the block is left."""
    stop = asyncio.Event()
    source = lambda: PaperLedger(given.store.path)  # noqa: E731
    task = asyncio.create_task(
        run_uplink(given, stop=stop, limits=replace(QUICK, **limits), open_source=source)
    )
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    (path / "run").mkdir(parents=True)
    write(path, {})
    return path


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def receiver(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver(mosquitto.port, tmp_path)
    wait_subscribed(mosquitto.port, receiver)
    yield receiver
    receiver.close()


def wait_subscribed(port: int, receiver: Receiver) -> None:
    """Publish until the receiver has it."""
    for _ in range(200):
        subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", "wattledger/v1/x/knock", "-m", "0"],
            check=True,
        )
        if receiver.messages("/knock"):
            return
        time.sleep(0.02)
    raise AssertionError("the receiver did not subscribe")
