"""The front door on real sockets: slow, stalled and greedy clients cost themselves, nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from gateway.web.protocol import GuardedProtocol, Limits

REQUEST = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers "ok"; `/flood` answers more than any socket buffer holds."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/flood":
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
    await send({"type": "http.response.body", "body": b"ok"})


class Door:
    """A server whose limits are the test's."""

    def __init__(self, port: int, server: uvicorn.Server) -> None:
        self.port = port
        self.server = server

    async def open(self) -> Opened:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request: bytes = REQUEST) -> bytes:
        reader, writer = await self.open()
        writer.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer


@pytest.fixture
def door() -> Callable[[Limits], Any]:
    @asynccontextmanager
    async def opened(limits: Limits) -> AsyncIterator[Door]:
        protocol = type("Tested", (GuardedProtocol,), {"limits": limits})
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, http=protocol, ws="none", lifespan="off", log_config=None,
            timeout_graceful_shutdown=1, h11_max_incomplete_event_size=2000,
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        yield Door(server.servers[0].sockets[0].getsockname()[1], server)
        server.should_exit = True
        await serving

    return opened


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


async def test_a_whole_request_is_answered_also_in_pieces_and_twice_on_one_connection(door: Any) -> None:
    async with door(Limits()) as web:
        reader, writer = await web.open()
        for piece in (REQUEST[:7], REQUEST[7:20], REQUEST[20:], REQUEST):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        answered = await reader.read(4096)
        assert answered.count(b"200 OK") == 2
        writer.close()


async def test_a_request_that_comes_drop_by_drop_is_cut_off(door: Any) -> None:
    async with door(Limits(request_s=0.3)) as web:
        reader, writer = await web.open()

        async def drip() -> None:
            for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        answer = await asyncio.wait_for(reader.read(), 5)
        dripping.cancel()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"hint"' in body(answer)


async def test_a_silent_connection_and_an_endless_body_are_cut_off(door: Any) -> None:
    async with door(Limits(request_s=0.2)) as web:
        reader, writer = await web.open()
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")
        writer.close()
        reader, writer = await web.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: web\r\nContent-Length: 1000000\r\n\r\nfew")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert body(answer).endswith(b"0\r\n\r\n") or body(answer) == b""
        assert not web.server.server_state.connections


async def test_while_slow_ones_hang_others_are_served(door: Any) -> None:
    async with door(Limits(request_s=30, per_address=60)) as web:
        slow = [await web.open() for _ in range(50)]
        for _, writer in slow:
            writer.write(b"GET / HT")
        assert body(await web.ask()).startswith(b"2\r\nok")
        for _, writer in slow:
            writer.close()


async def test_one_address_gets_only_its_share_of_connections(door: Any) -> None:
    async with door(Limits(per_address=3)) as web:
        held = [await web.open() for _ in range(3)]
        for reader, writer in held:
            writer.write(REQUEST)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        answer = await web.ask()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too many connections" in body(answer)
        held[0][1].close()
        await asyncio.sleep(0.05)
        assert b"200 OK" in await web.ask()
        for _, writer in held:
            writer.close()


async def test_the_server_has_a_last_connection(door: Any) -> None:
    async with door(Limits(per_address=10, total=1)) as web:
        _, held = await web.open()
        await asyncio.sleep(0.05)
        assert (await web.ask()).startswith(b"HTTP/1.1 503 ")
        held.close()


async def test_a_client_that_does_not_read_its_answer_is_cut_off(door: Any) -> None:
    async with door(Limits(stalled_s=0.2)) as web:
        _, writer = await web.open()
        writer.write(REQUEST.replace(b"/ ", b"/flood ", 1))
        async with asyncio.timeout(5):
            while not web.server.server_state.tasks:
                await asyncio.sleep(0.01)
            while web.server.server_state.tasks or web.server.server_state.connections:
                await asyncio.sleep(0.01)
        writer.close()


async def test_a_client_that_reads_slowly_but_steadily_gets_all(door: Any) -> None:
    async with door(Limits(stalled_s=5)) as web:
        reader, writer = await web.open()
        writer.write(REQUEST.replace(b"/ ", b"/flood ", 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = 0
        while chunk := await reader.read(1 << 20):
            received += len(chunk)
        assert received > 400 * 65_536
        writer.close()


async def test_a_head_without_end_and_what_is_no_http_are_refused(door: Any) -> None:
    async with door(Limits()) as web:
        endless = b"GET / HTTP/1.1\r\nA: " + b"a" * 4000
        for bad in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"HELO mail\r\n\r\n", endless):
            assert (await web.ask(bad)).startswith(b"HTTP/1.1 400 ")
        assert b"200 OK" in await web.ask()
