"""Requests are files, answered once; what is wrong is answered too, never swallowed; a bus has one owner."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import GatewayError, LinkDown, NoReply, NotRunning
from gateway.buslock import BusLock
from gateway.inbox import Inbox, ask, ulid


def _inbox(tmp_path: Path) -> Inbox:
    async def handle(request: dict[str, Any]) -> Any:
        if request.get("command") == "fail":
            raise NoReply("no answer within 1 s", hint="check the wiring")
        return {"echo": request}

    return Inbox(tmp_path / "store", tmp_path / "run", handle)


async def _served(inbox: Inbox, asked: asyncio.Task[Any]) -> Any:
    while not asked.done():
        await inbox.look()
        await asyncio.sleep(0.01)
    return await asked


async def test_a_request_is_answered_and_leaves_nothing_behind(tmp_path: Path) -> None:
    inbox = _inbox(tmp_path)
    task = asyncio.create_task(asyncio.to_thread(ask, tmp_path / "store", tmp_path / "run", {"command": "x"}))
    assert await _served(inbox, task) == {"echo": {"command": "x"}}
    assert list((tmp_path / "store" / "inbox").iterdir()) == []
    assert list((tmp_path / "run" / "answer").iterdir()) == []


async def test_an_error_comes_back_with_its_hint_and_exit_code(tmp_path: Path) -> None:
    inbox = _inbox(tmp_path)
    task = asyncio.create_task(asyncio.to_thread(ask, tmp_path / "store", tmp_path / "run", {"command": "fail"}))
    with pytest.raises(GatewayError, match="no answer within 1 s") as caught:
        await _served(inbox, task)
    assert (caught.value.hint, caught.value.exit_code) == ("check the wiring", 4)


@pytest.mark.parametrize("text", ["{half", "[1]", "\udcff", "x" * 70_000])
async def test_a_file_that_is_no_request_is_answered_as_wrong_and_removed(tmp_path: Path, text: str) -> None:
    inbox = _inbox(tmp_path)
    path = tmp_path / "store" / "inbox" / "01.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert await inbox.look() == 1
    said = json.loads((tmp_path / "run" / "answer" / "01.json").read_text())
    assert "01.json" in said["error"]["message"]
    assert not path.exists()


def test_without_collect_the_asker_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="does not exist"):
        ask(tmp_path / "store", tmp_path / "run", {})
    _inbox(tmp_path)
    with pytest.raises(NotRunning, match="no answer from collect"):
        ask(tmp_path / "store", tmp_path / "run", {}, timeout_s=0.2)
    assert list((tmp_path / "store" / "inbox").iterdir()) == [], "the question is taken back"


def test_names_of_requests_sort_by_time() -> None:
    assert ulid(1_000) < ulid(2_000) < ulid(1_790_000_000_000)
    assert len(ulid(0)) == 26


def test_a_bus_belongs_to_one_process_and_the_other_is_named(tmp_path: Path) -> None:
    holder = (
        "import sys, pathlib; from gateway.buslock import BusLock;"
        "BusLock(pathlib.Path(sys.argv[1]), 'hall').take('collect'); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    lock = BusLock(tmp_path, "hall")
    with pytest.raises(LinkDown, match=rf"process {process.pid} \(collect\)"):
        lock.take("scan")
    process.kill()
    process.wait()
    lock.take("scan")
    owner = lock.owner()
    assert owner is not None
    assert (owner.pid, owner.name) == (os.getpid(), "scan")
    lock.release()
