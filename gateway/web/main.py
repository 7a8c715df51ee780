"""Process `web`: the page and its API for people on the LAN. Reads, never writes."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import uvicorn

from engine.errors import GatewayError
from gateway.live import LiveReader
from gateway.site.secret import read_secret
from gateway.site.settings import Settings, Web
from gateway.store.reader import LedgerReader
from gateway.uplink.account import read_state
from gateway.web.api import build_api
from gateway.web.hub import LiveHub
from gateway.web.protocol import GuardedProtocol
from gateway.web.security import Access, Guard
from gateway.web.site import SiteView

log = logging.getLogger("gateway.web")
HEAD_MAX = 16_384  # bytes of a request's head
CLOSING_S = 1
USER = "wattledger-web"


async def run_web(
    settings: Settings, *, stop: asyncio.Event, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until `stop`, then end within three seconds. `ready` is called with the address once it listens.

    Raises GatewayError if the port cannot be had, ConfigError if the password file cannot be read.
    """
    access = access_of(settings.web)
    with _listen(settings.web) as listener, ThreadPoolExecutor(1, "ledger") as reading:
        ledger = LedgerReader(settings.store.path)
        live = LiveReader(settings.store.runtime_dir, _now_ms)
        birth = f"{_now_ms():x}"
        site = SiteView(settings, live, ledger, read_state, _now_ms, reading, _version(), birth)
        hub = LiveHub(live, site.status, birth)
        server = _Server(_config(Guard(build_api(site, hub, stop), access)))
        address = _address(settings.web, listener)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hub.run(stop))
                tasks.create_task(_end(server, stop))
                tasks.create_task(server.serve([listener]))
                log.info("the page is at %s", address)
                if ready is not None:
                    ready(address)
        finally:
            await site.ask(ledger.close)


def access_of(web: Web) -> Access:
    """Who may read, as `[web]` says. Raises ConfigError."""
    password = read_secret(web.password_file, USER) if web.password_file else None
    return Access(password, any_host=password is not None or web.open)


class _Server(uvicorn.Server):
    """uvicorn, without its signal handlers: the process frame has its own."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=CLOSING_S,
        h11_max_incomplete_event_size=HEAD_MAX,
    )


async def _end(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def _listen(web: Web) -> socket.socket:
    try:
        family, kind, proto, _, where = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise _not_listening(web, error) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(where)
        listener.listen()
    except OSError as error:
        listener.close()
        raise _not_listening(web, error) from error
    return listener


def _not_listening(web: Web, error: OSError) -> GatewayError:
    hint = "`ip address` shows which addresses this box has"
    if error.errno == errno.EADDRINUSE:
        hint = f"`ss -ltnp 'sport = :{web.port}'` shows who has it; or write another port in [web] listen"
    elif error.errno == errno.EACCES:
        hint = 'ports below 1024 need a privilege: write e.g. listen = "127.0.0.1:8080" in [web]'
    return GatewayError(f"cannot listen on {web.listen}: {error.strerror}", hint=hint)


def _address(web: Web, listener: socket.socket) -> str:
    host = f"[{web.host}]" if ":" in web.host else web.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _version() -> str:
    try:
        return version("wattledger")
    except PackageNotFoundError:
        return "checkout"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
