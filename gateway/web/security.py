"""Who may read, and what a browser may do with it: one ASGI layer in front of every answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

USER = "wattledger"
OPEN_PATHS = frozenset({"/healthz"})  # says only that the process lives
_LOOPBACK = ("localhost", "[::1]")
_POLICY = b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


@dataclass(frozen=True, slots=True)
class Access:
    """`password`: HTTP Basic for the user `wattledger`. `any_host`: answer whatever name the browser used.

    Without a password on loopback only loopback names are answered: otherwise any web page could point
    its own name at 127.0.0.1 and read the plant through the visitor's browser.
    """

    password: str | None
    any_host: bool
    wrong_password_delay_s: float = 1.0


class Guard:
    """Adds the security headers to every answer and refuses those who may not read."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, api=scope["path"].startswith(("/api/", "/healthz")))
            await send(message)

        headers = dict(scope["headers"])
        if not self._access.any_host and not _is_loopback(headers.get(b"host", b"").decode("latin-1")):
            refusal = "this page answers only to loopback names"
            hint = 'open it as http://127.0.0.1 or localhost, or set [web] password_file = "…" in site.toml'
            await _answer(send_guarded, 421, refusal, hint)
        elif scope["path"] not in OPEN_PATHS and not self._knows(headers.get(b"authorization", b"")):
            if b"authorization" in headers:
                await asyncio.sleep(self._access.wrong_password_delay_s)
            hint = f"user {USER}, password from the file that [web] password_file names"
            await _answer(send_guarded, 401, "a password is needed", hint)
        else:
            await self._app(scope, receive, send_guarded)

    def _knows(self, authorization: bytes) -> bool:
        if self._access.password is None:
            return True
        expected = f"{USER}:{self._access.password}".encode()
        return hmac.compare_digest(_credentials(authorization), expected)


def _credentials(authorization: bytes) -> bytes:
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        return b""


def _is_loopback(host: str) -> bool:
    name = host.lower()
    address = name if name.endswith("]") else name.rsplit(":", 1)[0]
    if address.startswith("127."):
        return all(part.isdigit() for part in address.split("."))
    return address in _LOOPBACK


def _add_headers(message: MutableMapping[str, Any], *, api: bool) -> None:
    headers = [*message.get("headers", []), *_HEADERS]
    if api:
        headers.append((b"cache-control", b"no-store"))
    message["headers"] = headers


async def _answer(send: Send, status: int, error: str, hint: str) -> None:
    body = json.dumps({"error": error, "hint": hint}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="wattledger", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
