"""A stop in the middle of a commit: what the thread has begun is written once, not once more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.store.commit import Commit, Committed
from tests.gateway.collect.rig import Box


async def test_a_commit_under_way_when_the_stop_comes_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path)
    await box.pipeline.write()
    for second in range(3):
        box.now_ms += 1000
        box.answer(100 + second)
    box.pipeline.cut(box.now_ms)
    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(box.ledger, "commit", _held(box.ledger.commit, begun, go_on))
    writing = asyncio.create_task(box.pipeline.write())
    await asyncio.to_thread(begun.wait)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    box.now_ms += 1000
    box.answer(103)
    box.pipeline.cut(box.now_ms, snapshot=True)
    last = asyncio.create_task(box.pipeline.write())
    go_on.set()
    await last
    rows = box.reader().readings("press-1", 0, 1 << 60)
    assert [row["values"]["active_energy_import_wh"] for row in rows] == [100_000, 101_000, 102_000, 103_000]
    counts = box.reader().counts(0, 1 << 60)["press-1"]
    assert counts.due == 4
    snapshot = box.reader().snapshot()
    assert snapshot is not None
    assert snapshot.through_seq == 4
    box.close()


def _held(
    commit: Callable[[Commit], Committed], begun: threading.Event, go_on: threading.Event
) -> Callable[[Commit], Committed]:
    """The same commit, which says when it has begun and waits to be let go on."""

    def held(what: Commit) -> Committed:
        begun.set()
        go_on.wait(10)
        return commit(what)

    return held
