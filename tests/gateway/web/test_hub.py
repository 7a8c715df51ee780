"""LiveHub: who watches gets what is new, all of it, once."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from gateway.web.hub import LiveHub


class PaperLive:
    """A live file on paper; assigning `body` replaces the file."""

    def __init__(self) -> None:
        self.body: dict[str, Any] | None = None
        self.reads = 0

    def read(self) -> dict[str, Any] | None:
        self.reads += 1
        return self.body

    def age_ms(self) -> int | None:
        return None if self.body is None else 120

    def write(self, **watts: int) -> None:
        meters = {meter: {"w": watt} for meter, watt in watts.items()}
        self.body = {"v": 1, "t": f"t{sum(watts.values())}", "boot": 1, "meters": meters}


class World:
    def __init__(self) -> None:
        self.live = PaperLive()
        self.status: dict[str, Any] = {"t": "0", "level": "ok", "collect": {"state": "running", "age_ms": 1}}
        self.hub = LiveHub(self.live, self._status, "b1")

    async def _status(self) -> dict[str, Any]:
        return dict(self.status)


@pytest.fixture
def world() -> World:
    return World()


def parsed(frames: bytes) -> list[tuple[str, Any]]:
    found = []
    for frame in frames.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        found.append((fields["event"], orjson.loads(fields["data"])))
    return found


async def test_who_joins_gets_everything(world: World) -> None:
    world.live.write(a=1, b=2)
    await world.hub.join()
    version, frames = world.hub.frames(0)
    assert parsed(frames) == [
        ("status", world.status),
        ("live", {"v": 1, "t": "t3", "boot": 1, "meters": {"a": {"w": 1}, "b": {"w": 2}}}),
    ]
    assert world.hub.frames(version) == (version, b"")


async def test_only_meters_that_changed_are_sent(world: World) -> None:
    world.live.write(a=1, b=2)
    await world.hub.join()
    version, _ = world.hub.frames(0)
    world.live.write(a=1, b=5)
    await world.hub.look(with_status=False)
    assert parsed(world.hub.frames(version)[1]) == [("live", {"v": 1, "t": "t6", "boot": 1, "meters": {"b": {"w": 5}}})]


async def test_a_slow_watcher_gets_the_newest_of_each_meter_and_no_history(world: World) -> None:
    world.live.write(a=1, b=2)
    await world.hub.join()
    version, _ = world.hub.frames(0)
    for watt in range(3, 9):
        world.live.write(a=watt, b=2)
        await world.hub.look(with_status=False)
    [(_, body)] = parsed(world.hub.frames(version)[1])
    assert body["meters"] == {"a": {"w": 8}}


async def test_an_unchanged_file_is_not_news(world: World) -> None:
    world.live.write(a=1)
    await world.hub.join()
    version, _ = world.hub.frames(0)
    await world.hub.look(with_status=True)
    assert world.hub.frames(version) == (version, b"")


async def test_a_meter_that_was_removed_is_forgotten(world: World) -> None:
    world.live.write(a=1, b=2)
    await world.hub.join()
    world.live.write(a=1)
    await world.hub.look(with_status=False)
    assert parsed(world.hub.frames(0)[1])[1][1]["meters"] == {"a": {"w": 1}}


async def test_a_status_that_only_aged_is_not_news(world: World) -> None:
    await world.hub.join()
    version, _ = world.hub.frames(0)
    world.status |= {"t": "1", "collect": {"state": "running", "age_ms": 900}}
    await world.hub.look(with_status=True)
    assert world.hub.frames(version)[1] == b""
    world.status |= {"collect": {"state": "stopped", "age_ms": 5900}}
    await world.hub.look(with_status=True)
    assert [name for name, _ in parsed(world.hub.frames(version)[1])] == ["status"]


async def test_only_the_last_frame_carries_the_id_of_the_version(world: World) -> None:
    world.live.write(a=1)
    await world.hub.join()
    version, frames = world.hub.frames(0)
    status, live, _ = frames.split(b"\n\n")
    assert b"id: " not in status
    assert live.startswith(b"id: b1.%d\nevent: live\n" % version)


async def test_a_returning_watcher_continues_and_a_stranger_begins_anew(world: World) -> None:
    world.live.write(a=1)
    await world.hub.join()
    version, _ = world.hub.frames(0)
    assert world.hub.version_of(f"b1.{version}") == version
    assert world.hub.version_of("b1.999999") == version
    for stranger in ("", "b0.1", "b1.", "b1.-1", "b1.x", "b1.\u0663", "1"):
        assert world.hub.version_of(stranger) == 0


async def test_a_change_wakes_all_who_wait(world: World) -> None:
    world.live.write(a=1)
    await world.hub.join()
    version, _ = world.hub.frames(0)
    waiting = [asyncio.create_task(world.hub.changed(version, 30)) for _ in range(3)]
    await asyncio.sleep(0)
    world.live.write(a=2)
    await world.hub.look(with_status=False)
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_without_a_change_waiting_ends_in_time(world: World) -> None:
    await world.hub.join()
    version, _ = world.hub.frames(0)
    assert await world.hub.changed(version, 0.01) is False


async def test_while_nobody_watches_the_file_is_left_alone(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(world.hub.run(stop))
    await asyncio.sleep(0.05)
    assert world.live.reads == 0
    await world.hub.join()
    world.hub.leave()
    reads = world.live.reads
    await asyncio.sleep(0.3)
    assert world.live.reads == reads
    stop.set()
    await running


async def test_the_beat_says_how_old_the_file_is(world: World) -> None:
    assert parsed(world.hub.beat(0)) == [("beat", {"t": "1970-01-01T00:00:00.000Z", "age_ms": None})]
    world.live.write(a=1)
    assert parsed(world.hub.beat(1500)) == [("beat", {"t": "1970-01-01T00:00:01.500Z", "age_ms": 120})]
