"""The front door: uvicorn's HTTP/1.1 protocol with the deadlines and caps that uvicorn does not have.

A client that sends its request drop by drop, reads its answer drop by drop or opens many connections
costs itself its connections; everybody else is served.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the server one address may hold."""

    per_address: int = 32  # connections; a browser opens at most 6
    total: int = 256
    request_s: float = 10.0  # from the first byte expected to the last byte of head and body
    stalled_s: float = 30.0  # how long a client may leave our answer unread


class GuardedProtocol(H11Protocol):
    """One connection. `limits` belongs to the class, so a server (or a test) can subclass it."""

    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._request_timer: asyncio.TimerHandle | None = None
        self._stalled_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        if self._too_many():
            self._turn_away(503, "too many connections from your address", "close some, then try again")
            return
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._expect_request()
        else:
            self._request_came()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_came()
        self._answer_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_timer = self.loop.call_later(self.limits.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._answer_read()
        super().resume_writing()

    def _too_many(self) -> bool:
        # uvicorn keeps the open connections, this one included; at most `total`, so counting is cheap.
        open_now = self.server_state.connections
        address = self.client[0] if self.client else ""
        mine = [c for c in open_now if isinstance(c, GuardedProtocol) and c.client and c.client[0] == address]
        return len(mine) > self.limits.per_address or len(open_now) > self.limits.total

    def _expect_request(self) -> None:
        # Armed once per request and not at every byte: each drop must not buy more time.
        if self._request_timer is None:
            self._request_timer = self.loop.call_later(self.limits.request_s, self._request_too_slow)

    def _request_came(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _answer_read(self) -> None:
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None

    def _request_too_slow(self) -> None:
        self._request_timer = None
        if self.conn.our_state is h11.IDLE:
            self._turn_away(408, "the request did not arrive in time", "send the whole request at once")
        else:
            self.transport.abort()

    def _turn_away(self, status: int, error: str, hint: str) -> None:
        body = json.dumps({"error": error, "hint": hint}).encode()
        length = ("content-length", str(len(body)))
        head = [("content-type", "application/json"), length, ("connection", "close")]
        for event in (
            h11.Response(status_code=status, headers=head),
            h11.Data(data=body),
            h11.EndOfMessage(),
            h11.ConnectionClosed(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

