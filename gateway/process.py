"""The frame of collect, uplink and web: configuration (or its last good copy), signals, systemd, log, exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from engine.errors import ConfigError, StoreError
from gateway.notify import notify, status_line, watchdog_s
from gateway.site.check import problems_for
from gateway.site.file import find
from gateway.site.last_good import Process, keep_last_good, load_or_last_good
from gateway.site.settings import Settings

log = logging.getLogger("wattledger")
REJECTED = "runs on the last good configuration, the file was rejected"
Work = Callable[["Frame"], Awaitable[None]]


class Frame:
    """What a process is given: its settings, when to stop, and whom to tell that it is ready.

    `on_rejected` is called when a configuration handed over at run time is refused.
    """

    def __init__(self, name: Process, file: Path) -> None:
        self._name, self._file = name, file
        self.stop = asyncio.Event()
        self.on_rejected: Callable[[ConfigError], None] | None = None
        self.settings, self.rejected = load_or_last_good(file, name, problems_for(name))
        if self.rejected is not None:
            log.error("running on the last good configuration: %s", self.rejected)

    def ready(self) -> None:
        """The process does its work now: systemd is told, and this configuration becomes the last good one."""
        notify("READY=1", status_line(REJECTED if self.rejected else "running"))
        if self.rejected is None:
            try:
                keep_last_good(self.settings, self._name)
            except StoreError as error:
                log.warning("%s; %s", error, error.hint)

    def reload(self) -> Settings | None:
        """The file again, after SIGHUP: its settings, or None (and `rejected`) where it is bad."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        settings, self.rejected = load_or_last_good(self._file, self._name, problems_for(self._name))
        if self.rejected is not None:
            log.error("the new configuration is rejected: %s", self.rejected)
            notify("READY=1", status_line(REJECTED))
            if self.on_rejected is not None:
                self.on_rejected(self.rejected)
            return None
        self.settings = settings
        return settings


async def _serve(frame: Frame, work: Work) -> None:
    """Run `work` until it ends or a signal stops it; after SIGHUP with a good file run it again under that."""
    loop = asyncio.get_running_loop()
    leaving = asyncio.Event()

    def leave() -> None:
        leaving.set()
        frame.stop.set()
        notify("STOPPING=1")

    def hang_up() -> None:
        if frame.reload() is not None:
            frame.stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    alive = asyncio.create_task(_alive(watchdog_s()))
    try:
        while not leaving.is_set():
            frame.stop = asyncio.Event()
            await work(frame)
            if not frame.stop.is_set():
                return
    finally:
        alive.cancel()


async def _alive(every_s: float) -> None:
    """The watchdog is fed by the event loop itself: a stuck loop feeds nobody."""
    while every_s:
        notify("WATCHDOG=1")
        await asyncio.sleep(every_s)


def run_process(name: Process, config: str | None, work: Work) -> int:
    """Exit code 0 after a clean stop. Raises ConfigError when there is neither a good file nor a copy."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"{name} %(levelname).1s %(message)s")
    frame = Frame(name, find(config))
    uvloop.run(_serve(frame, work))
    return 0
