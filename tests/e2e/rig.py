"""The rig of the end-to-end tests: real processes and sockets; the subscriber is Mosquitto's own, not ours."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import StoreError
from gateway.store.reader import LedgerReader

T = TypeVar("T")
MOSQUITTO = "/usr/sbin/mosquitto"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def until(condition: Callable[[], T], what: str, within_s: float = 30.0) -> T:
    """Wait for a truthy value; fail naming `what`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")


class Child:
    """One process; its stderr goes to a file that a failing test can show."""

    def __init__(self, name: str, command: list[str], log: Path, **pipes: Any) -> None:
        self.name, self.log = name, log / f"{name}.log"
        with self.log.open("ab") as err:
            self.process = subprocess.Popen(command, stderr=err, **{"stdout": err, **pipes})

    def stop(self, number: int = signal.SIGTERM, within_s: float = 10.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(within_s)


class Broker(Child):
    """Mosquitto with persistence, so that its restart forgets neither sessions nor messages."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 100000\n"
        )
        if os.getuid() == 0:
            config.write_text(config.read_text() + "user root\n")
        super().__init__("mosquitto", [MOSQUITTO, "-c", str(config)], folder)
        until(self.open, "mosquitto listens")

    def open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber(Child):
    """mosquitto_sub with a session that outlives its connections; one JSON object per message in a file."""

    def __init__(self, folder: Path, port: int, topic: str = "wattledger/v1/#") -> None:
        self.file = folder / "received.jsonl"
        out = self.file.open("wb")
        super().__init__(
            "subscriber",
            ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-V", "mqttv5", "-q", "1", "-c", "-x", "3600",
             "-i", "independent", "-t", topic, "-F", "%j"],
            folder, stdout=out,
        )  # fmt: skip

    def messages(self) -> list[dict[str, Any]]:
        """Complete lines only."""
        lines = self.file.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def batches(self, stream: str) -> list[dict[str, Any]]:
        return [json.loads(m["payload"]) for m in self.messages() if m["topic"].endswith(f"/{stream}")]

    def rows(self, stream: str) -> dict[tuple[int, int], dict[str, Any]]:
        """Rows by (epoch, seq); the same seq must always carry the same row."""
        found: dict[tuple[int, int], dict[str, Any]] = {}
        for batch in self.batches(stream):
            for row in batch["rows"]:
                key = (batch["epoch"], row["seq"])
                assert found.setdefault(key, row) == row, f"{stream} {key} came with two contents"
        return found


class Plant(Child):
    """`wattledger simulate` with control by stdin and its truth in a file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.truth_file = folder / "truth.json"
        command = [sys.executable, "-m", "simulators.simulate", "--json", "--control", "--truth", str(self.truth_file)]
        super().__init__(
            "plant", [*command, *options], folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.ready: dict[str, Any] = json.loads(line)

    def order(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.truth_file.read_text())["meters"]
        return found


def wattledger(name: str, folder: Path, *args: str, **pipes: Any) -> Child:
    return Child(name, [sys.executable, "-m", "gateway", *args], folder, **pipes)


def call(*args: str) -> subprocess.CompletedProcess[str]:
    """One command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *args], capture_output=True, text=True, timeout=60, check=False
    )


def site_file(folder: Path, plant_toml: str, mqtt_port: int, *, extra: str = "", commit: str = "1s") -> Path:
    """site.toml around the simulator's tables; the day starts twelve hours away, so no test meets midnight."""
    hours = (int(time.time()) // 3600 % 24) - 12
    zone = f"Etc/GMT{hours:+d}" if hours else "UTC"
    text = plant_toml.replace('timezone = "UTC"', f'timezone = "{zone}"')
    text = text.replace("[site]\n", '[site]\nclock = "trust"\n', 1)
    text += (
        f'\n[store]\npath = "{folder / "store"}"\ncommit_interval = "{commit}"\n'
        f'\n[mqtt]\nurl = "mqtt://127.0.0.1:{mqtt_port}"\n'
        f'\n[web]\nlisten = "127.0.0.1:{free_port()}"\n{extra}'
    )
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def last_reading(ledger: LedgerReader) -> int:
    """The newest seq of the readings; 0 while the ledger is just being created."""
    try:
        return ledger.last_seq("readings")
    except StoreError:
        return 0


def settle(store: Path) -> None:
    """Until two looks at the ledger, more than a commit apart, show the same last reading."""
    seen = -1

    def same() -> bool:
        nonlocal seen
        before, seen = seen, LedgerReader(store).last_seq("readings")
        time.sleep(2.2)
        return before == seen

    until(same, "no more readings", 30)
