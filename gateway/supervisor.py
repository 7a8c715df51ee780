"""`wattledger run`: starts collect, uplink and web, restarts what dies, stops all within five seconds.

It stays small (no asyncio, no pydantic): it lives beside the three for years and does nothing but wait for signals.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

PROCESSES = ("collect", "uplink", "web")
STOP_WITHIN_S = 4.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
STEADY_S = 10.0  # who lived so long starts the pauses anew
_SIGNALS = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_FOREVER_S = 3600.0


class _Kept:
    """One process and when it may start (again) [monotonic s]."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.started = self.due = time.monotonic()
        self.pause_s = FIRST_PAUSE_S / 2


class Supervisor:
    """Runs `python -m gateway NAME -c CONFIG` for each name until told to stop."""

    def __init__(self, config: str, names: tuple[str, ...] = PROCESSES) -> None:
        self._config = config
        self._kept = [_Kept(name) for name in names]

    def run(self) -> int:
        """Until SIGINT or SIGTERM. Exit code 0 after a clean stop, 1 if a process had to be killed."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            for kept in self._kept:
                self._tend(kept)
            said = signal.sigtimedwait(_SIGNALS, self._next_start_s())
            if said is None or said.si_signo == signal.SIGCHLD:
                continue
            if said.si_signo != signal.SIGHUP:
                return self._stop()
            for process in self._alive():
                process.send_signal(signal.SIGHUP)

    def _tend(self, kept: _Kept) -> None:
        now = time.monotonic()
        if kept.process is not None and (code := kept.process.poll()) is not None:
            kept.process = None
            steady = now - kept.started > STEADY_S
            kept.pause_s = FIRST_PAUSE_S if steady else min(2 * kept.pause_s, LONGEST_PAUSE_S)
            kept.due = now + kept.pause_s
            again = f"starting it again in {kept.pause_s:.1f} s"
            print(f"{kept.name} ended with {code}; {again}", file=sys.stderr, flush=True)
        if kept.process is None and now >= kept.due:
            kept.started = now
            # Own process group: Ctrl-C reaches the supervisor alone, which then stops the others in order.
            kept.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", kept.name, "-c", self._config],
                start_new_session=True,
                preexec_fn=_unblock,
            )

    def _next_start_s(self) -> float:
        due = [kept.due for kept in self._kept if kept.process is None]
        return max(0.0, min(due) - time.monotonic()) if due else _FOREVER_S

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        return [kept.process for kept in self._kept if kept.process is not None and kept.process.poll() is None]

    def _stop(self) -> int:
        processes = self._alive()
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        while (late := self._alive()) and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, deadline - time.monotonic())
        for process in late:
            process.kill()
        return 1 if late else 0


def _unblock() -> None:
    """A child begins with the signals that this process has blocked for itself."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
