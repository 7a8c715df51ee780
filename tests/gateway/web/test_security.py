"""Who may read: passwords, host names, headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from gateway.web.security import Access, Guard

Header = Callable[[str, str], dict[str, str]]
LOCAL = Access(None, any_host=False)
SECRET = Access("s3cret:ü", any_host=True, wrong_password_delay_s=0)


async def get(
    access: Access, path: str = "/api/v1/meters", host: str = "127.0.0.1:8080", **headers: str | bytes
) -> httpx.Response:
    app = Guard(PlainTextResponse("data"), access)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client:
        return await client.get(path, headers=headers)


async def test_with_a_password_only_its_user_reads(basic: Header) -> None:
    assert (await get(SECRET, **basic("wattledger", "s3cret:ü"))).text == "data"
    for user, password in (
        ("wattledger", "s3cret"), ("wattledger", ""), ("admin", "s3cret:ü"), ("", "s3cret:ü"),
        ("wattledger", "s3cret:ü "), ("wattledger:", "s3cret:ü"),
    ):  # fmt: skip
        answer = await get(SECRET, **basic(user, password))
        assert answer.status_code == 401, (user, password)


@pytest.mark.parametrize("value", [b"", b"Basic", b"Basic !!!", b"Bearer d2F0dA==", b"Basic d2F0dGU=", b"basic \xff"])
async def test_a_broken_authorization_is_refused_and_the_browser_asked(value: bytes) -> None:
    answer = await get(SECRET, authorization=value)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.json()["hint"]


async def test_health_needs_no_password() -> None:
    assert (await get(SECRET, path="/healthz")).status_code == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "127.0.0.1", "127.8.9.1:80", "localhost:8080", "LOCALHOST", "[::1]:8080"]
)
async def test_on_loopback_loopback_names_are_answered(host: str) -> None:
    assert (await get(LOCAL, host=host)).text == "data"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7"]
)
async def test_on_loopback_a_foreign_name_that_points_here_is_refused(host: str) -> None:
    answer = await get(LOCAL, host=host)
    assert answer.status_code == 421
    assert "password_file" in answer.json()["hint"]


@pytest.mark.parametrize("access", [LOCAL, SECRET, Access(None, any_host=True)])
@pytest.mark.parametrize("path", ["/", "/api/v1/meters", "/healthz"])
async def test_every_answer_carries_the_security_headers(access: Access, path: str) -> None:
    headers = (await get(access, path=path)).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers.get("cache-control") == (None if path == "/" else "no-store")


async def test_what_is_no_request_passes() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is sent or received")

    await Guard(app, LOCAL)({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
