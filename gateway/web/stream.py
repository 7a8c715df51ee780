"""`/api/v1/stream`: the live payloads as server-sent events (`live`, `status`, `beat`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

from gateway.web.hub import LiveHub

BEAT_S = 2.0
RETRY = b"retry: 1000\n\n"  # ms until a browser connects again


async def events(
    hub: LiveHub, last_event_id: str, now_ms: Callable[[], int], stop: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    """Frames for one watcher until `stop`: first what it has not seen, then every change, and a beat."""
    loop = asyncio.get_running_loop()
    await hub.join()
    try:
        version = hub.version_of(last_event_id)
        yield RETRY + hub.beat(now_ms())
        beat_at = loop.time() + BEAT_S
        while not stop.is_set():
            version, frames = hub.frames(version)
            if frames:
                yield frames
            await hub.changed(version, max(0.0, beat_at - loop.time()))
            if loop.time() >= beat_at:
                yield hub.beat(now_ms())
                beat_at = loop.time() + BEAT_S
    finally:
        hub.leave()


class EventStream(StreamingResponse):
    """A stream that ends its source at once when the watcher goes."""

    def __init__(self, source: AsyncGenerator[bytes, None]) -> None:
        super().__init__(source, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._source = source

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._source):
            await super().stream_response(send)
