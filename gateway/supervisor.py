"""`wattledger run`: starts collect, uplink and web, restarts what dies, stops all within five seconds.

It stays small (no pydantic, no numpy): it lives beside the three for years.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

PROCESSES = ("collect", "uplink", "web")
STOP_WITHIN_S = 4.5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
STEADY_S = 10.0


class Supervisor:
    """Runs `python -m gateway NAME -c CONFIG` for each name until told to stop."""

    def __init__(self, config: str, names: tuple[str, ...] = PROCESSES) -> None:
        self._config = config
        self._names = names
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> int:
        """Exit code 0 after a clean stop, 1 if a process had to be killed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        keepers = [asyncio.create_task(self._keep(name)) for name in self._names]
        await self._stop.wait()
        for process in self._running.values():
            process.terminate()
        _, late = await asyncio.wait(keepers, timeout=STOP_WITHIN_S)
        for process in self._running.values():
            process.kill()
        for keeper in late:
            keeper.cancel()
        return 1 if late else 0

    def _reload(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGHUP)

    async def _keep(self, name: str) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            started = time.monotonic()
            # Own process group: Ctrl-C reaches the supervisor alone, which then stops the others in order.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", name, "-c", self._config, start_new_session=True
            )
            self._running[name] = process
            code = await process.wait()
            del self._running[name]
            if self._stop.is_set():
                return
            pause_s = FIRST_PAUSE_S if time.monotonic() - started > STEADY_S else min(2 * pause_s, LONGEST_PAUSE_S)
            print(f"{name} ended with {code}; starting it again in {pause_s:.1f} s", file=sys.stderr, flush=True)
            try:
                await asyncio.wait_for(self._stop.wait(), pause_s)
            except TimeoutError:
                continue
