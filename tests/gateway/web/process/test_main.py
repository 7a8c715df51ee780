"""The web process on a real socket: its stream, its password, its start and its end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from engine.errors import ConfigError, GatewayError
from gateway.web.main import run_web


class Watcher:
    """Reads server-sent events from a raw socket."""

    def __init__(self, port: int, last_event_id: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        extra = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        self._socket.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n{extra}\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.head = b"".join(iter(self._file.readline, b"\r\n")).decode().lower()
        self.last_id = ""

    def events(self) -> Iterator[tuple[str, Any]]:
        name = ""
        while line := self._file.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                self.last_id = value
            elif field == "data":
                yield name, orjson.loads(value)

    def next(self, wanted: str) -> Any:
        for name, data in self.events():
            if name == wanted:
                return data
        raise AssertionError(f"the stream ended without {wanted}")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextmanager
def watching(port: int, last_event_id: str = "") -> Iterator[Watcher]:
    watcher = Watcher(port, last_event_id)
    try:
        yield watcher
    finally:
        watcher.close()


def test_the_stream_sends_everything_first_then_every_change(plant: Any, serve: Callable[[Any], Any]) -> None:
    plant.write_live()
    server = serve(plant)
    with watching(server.port) as watcher:
        assert "content-type: text/event-stream" in watcher.head
        assert "cache-control: no-store" in watcher.head
        assert watcher.next("status")["collect"]["state"] == "running"
        assert sorted(watcher.next("live")["meters"]) == ["main-1", "oven", "press-1", "press-2"]
        plant.write_live(powers=plant.powers | {"oven": 5000.0})
        payload = watcher.next("live")["meters"]["oven"]
        assert payload["values"]["active_power_w"] == 5000
        assert payload == orjson.loads(plant.live_file.read_bytes())["meters"]["oven"]


def test_a_returning_watcher_gets_only_what_it_missed(plant: Any, serve: Callable[[Any], Any]) -> None:
    plant.write_live()
    server = serve(plant)
    with watching(server.port) as first:
        first.next("live")
        seen = first.last_id
        body = orjson.loads(plant.live_file.read_bytes())
        body["meters"]["oven"]["values"]["active_power_w"] = 1
        plant.live_file.write_bytes(orjson.dumps(body))
        first.next("live")
    with watching(server.port, seen) as again:
        assert list(again.next("live")["meters"]) == ["oven"]
    with watching(server.port, "elsewhere.7") as stranger:
        assert len(stranger.next("live")["meters"]) == 4


def test_the_beat_goes_on_when_nothing_is_metered(plant: Any, serve: Callable[[Any], Any]) -> None:
    plant.write_live(age_ms=60_000)
    with watching(serve(plant).port) as watcher:
        first, second = watcher.next("beat")["age_ms"], watcher.next("beat")["age_ms"]
        assert 60_000 <= first < second


def test_a_watcher_that_leaves_is_forgotten(plant: Any, serve: Callable[[Any], Any]) -> None:
    plant.write_live()
    server = serve(plant)
    for _ in range(40):  # more than one address may hold at once
        with watching(server.port) as watcher:
            watcher.next("live")
    assert httpx.get(f"{server.url}/healthz").json() == {"ok": True}


def test_the_process_ends_in_three_seconds_although_people_watch(plant: Any, serve: Callable[[Any], Any]) -> None:
    plant.write_live()
    server = serve(plant)
    with watching(server.port) as watcher, socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(b"GET / HT")
        watcher.next("live")
        assert server.stop() < 3
        assert list(watcher.events()) == []


def test_with_a_password_file_its_password_opens_the_page(
    plant: Any, serve: Callable[[Any], Any], basic: Callable[[str, str], dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("kilo watt\nnot this\n")
    plant.web = 'password_file = "secret"'
    server = serve(plant)
    assert httpx.get(server.url).status_code == 401
    assert httpx.get(server.url, headers=basic("wattledger", "kilo watt")).status_code == 200
    assert httpx.get(f"{server.url}/healthz").status_code == 200


async def test_a_missing_password_file_is_named(plant: Any) -> None:
    plant.web = 'password_file = "nowhere"'
    with pytest.raises(ConfigError, match="nowhere") as caught:
        await run_web(plant.settings(), stop=asyncio.Event())
    assert "install -o" in caught.value.hint


async def test_a_port_that_is_taken_is_named_with_the_command_that_shows_by_whom(plant: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = plant.settings()
        web = settings.web.model_copy(update={"listen": f"127.0.0.1:{port}"})
        with pytest.raises(GatewayError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use") as caught:
            await run_web(settings.model_copy(update={"web": web}), stop=asyncio.Event())
    assert f"sport = :{port}" in caught.value.hint


async def test_an_address_that_this_box_does_not_have_is_named(plant: Any) -> None:
    settings = plant.settings()
    web = settings.web.model_copy(update={"listen": "192.0.2.1:0"})
    with pytest.raises(GatewayError, match=r"cannot listen on 192\.0\.2\.1:0") as caught:
        await run_web(settings.model_copy(update={"web": web}), stop=asyncio.Event())
    assert "ip address" in caught.value.hint


def test_a_live_file_of_a_hundred_meters_reaches_ten_watchers(plant: Any, serve: Callable[[Any], Any]) -> None:
    plant.meters = tuple((f"m-{n}", "", "load", None, None) for n in range(100))
    plant.powers = {meter[0]: 1000.0 + n for n, meter in enumerate(plant.meters)}
    plant.write_live()
    server = serve(plant)
    watchers = [Watcher(server.port) for _ in range(10)]
    for watcher in watchers:
        assert len(watcher.next("live")["meters"]) == 100
    plant.write_live(powers=plant.powers | {"m-42": 7.0})
    deadline = time.monotonic() + 5
    for watcher in watchers:
        assert watcher.next("live")["meters"]["m-42"]["values"]["active_power_w"] == 7
        watcher.close()
    assert time.monotonic() < deadline
