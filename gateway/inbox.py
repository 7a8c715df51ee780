"""Commands to `collect` are files: the only way in. Both ends: `ask` for people's commands, `Inbox` for collect.

A request is `{store}/inbox/{id}.json`, its answer `{runtime}/answer/{id}.json`; each is written to a
temporary name and renamed, so nobody sees half of one.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import GatewayError, NotRunning

log = logging.getLogger("wattledger.inbox")
MAX_BYTES = 65_536
MAX_WAITING = 100
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(now_ms: int) -> str:
    """26 characters, sorted by time: 48 bits of milliseconds, 80 random bits."""
    number = (now_ms << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def write_json(path: Path, body: Any) -> None:
    """Temp and rename in the same directory; readable by the group."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.write_text(json.dumps(body, ensure_ascii=False))
    fresh.chmod(0o660)
    os.replace(fresh, path)


def ask(store: Path, runtime: Path, request: dict[str, Any], *, timeout_s: float = 10.0) -> Any:
    """Put a request, wait for its answer. Raises NotRunning, or GatewayError with what collect said."""
    name = ulid(time.time_ns() // 1_000_000)
    question = store / "inbox" / f"{name}.json"
    answer = runtime / "answer" / f"{name}.json"
    if not question.parent.is_dir():
        start = "start it: wattledger run, or systemctl start wattledger-collect"
        raise NotRunning(f"{question.parent} does not exist", hint=start)
    write_json(question, request)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer.exists():
            said = json.loads(answer.read_text())
            answer.unlink(missing_ok=True)
            if "error" in said:
                error = GatewayError(said["error"]["message"], hint=said["error"]["hint"])
                error.exit_code = said["error"]["exit_code"]  # type: ignore[misc]  # the answering side's code
                raise error
            return said["result"]
        time.sleep(0.05)
    question.unlink(missing_ok=True)
    raise NotRunning(f"no answer from collect within {timeout_s:.0f} s", hint="is it running? wattledger status")


@dataclass(slots=True)
class Inbox:
    """Collect's end. `handle` does the work and returns what is answered; GatewayErrors are answered too."""

    store: Path
    runtime: Path
    handle: Callable[[dict[str, Any]], Awaitable[Any]]

    def __post_init__(self) -> None:
        (self.store / "inbox").mkdir(parents=True, exist_ok=True)
        (self.runtime / "answer").mkdir(parents=True, exist_ok=True)

    async def look(self) -> int:
        """Serve what lies there, oldest first; how many were served."""
        entries = (entry.name for entry in os.scandir(self.store / "inbox"))
        names = sorted(name for name in entries if name.endswith(".json") and not name.startswith("."))
        for name in names[:MAX_WAITING]:
            path = self.store / "inbox" / name
            answer = await self._serve(path)
            try:
                path.unlink(missing_ok=True)
                write_json(self.runtime / "answer" / name, answer)
            except OSError as error:
                log.error("%s cannot be answered: %s; see: df -h %s %s", name, error.strerror, self.store, self.runtime)
        return len(names[:MAX_WAITING])

    async def _serve(self, path: Path) -> dict[str, Any]:
        try:
            if path.stat().st_size > MAX_BYTES:
                raise GatewayError(f"{path.name} is larger than {MAX_BYTES} bytes")
            request = json.loads(path.read_text())
            if not isinstance(request, dict):
                raise GatewayError(f"{path.name} is not a JSON object")
            return {"result": await self.handle(request)}
        except (OSError, ValueError, RecursionError) as error:
            return _error(GatewayError(f"{path.name}: {error}"))
        except GatewayError as error:
            return _error(error)


def _error(error: GatewayError) -> dict[str, Any]:
    return {"error": {"message": str(error), "hint": error.hint, "exit_code": error.exit_code}}
