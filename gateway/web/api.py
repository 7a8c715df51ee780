"""The HTTP interface: `/`, `/api/v1/…`, `/healthz`. Read-only; rows are those of the contract."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Path, Query, Request
from starlette.responses import Response

from gateway.store.rows import Row
from gateway.timespan import parse
from gateway.web.answers import ApiError, add_error_answers, json_answer
from gateway.web.assets import load_assets
from gateway.web.hub import LiveHub
from gateway.web.site import SiteView
from gateway.web.stream import EventStream, events

LIMIT_MAX = 1000
LIMIT = 200
DAY_MS = 86_400_000
FAR_MS = 1 << 62
MeterId = Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only this meter.")]
From = Annotated[str | None, Query(alias="from", description='RFC 3339, local date(-time) or "-24h".')]
To = Annotated[str | None, Query(description="End, not included; as `from`.")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows at most.")]
After = Annotated[int, Query(ge=0, description="Only rows with a greater seq: `next` of the answer before.")]


def only(*names: str) -> Any:
    """Dependency: refuse a query parameter not among `names`: a typing error must not widen the answer."""

    def check(request: Request) -> None:
        for name in request.query_params:
            if name not in names:
                known = ", ".join(names) or "none"
                raise ApiError(f"there is no parameter {name!r} here", hint=f"possible: {known}")

    return Depends(check)


def build_api(site: SiteView, hub: LiveHub, stop: asyncio.Event) -> FastAPI:
    """The application; streams end when `stop` is set."""
    app = FastAPI(
        title="wattledger",
        version=site.version,
        description="Readings, intervals and events of this gateway, as rows of the MQTT contract. Read-only.",
        docs_url=None,  # FastAPI's page would load its scripts from a CDN
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    add_error_answers(app)
    _add_page(app)
    _add_state(app, site, hub, stop)
    _add_rows(app, site)
    return app


def _add_page(app: FastAPI) -> None:
    assets = load_assets()

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return assets["index.html"].answer(request)

    @app.get("/static/{path:path}", include_in_schema=False)
    async def static(request: Request, path: Annotated[str, Path()]) -> Response:
        if path not in assets:
            raise ApiError(f"/static/{path}: Not Found", status=404)
        return assets[path].answer(request)

    @app.get("/healthz", summary="The process lives", dependencies=[only()])
    async def healthz() -> Response:
        return json_answer({"ok": True})


def _add_state(app: FastAPI, site: SiteView, hub: LiveHub, stop: asyncio.Event) -> None:
    @app.get("/api/v1/status", summary="How the gateway is", dependencies=[only()])
    async def status() -> Response:
        return json_answer(await site.status())

    @app.get("/api/v1/meters", summary="Every configured meter with its live payload", dependencies=[only()])
    async def meters() -> Response:
        return json_answer({"rows": site.meters()})

    @app.get("/api/v1/load", summary="Load curve of a day", dependencies=[only("day", "meter")])
    async def load(
        day: Annotated[date | None, Query(description="Local date; today by default.")] = None,
        meter: MeterId = None,
    ) -> Response:
        """Mean power per step from closed intervals: of the site, or of one meter."""
        await _known(site, meter)
        return json_answer(await site.load(day, meter))

    @app.get("/api/v1/stream", summary="Live payloads as server-sent events", dependencies=[only()])
    async def stream(last_event_id: Annotated[str, Header(max_length=64)] = "") -> Response:
        """Events `live` (meters that changed), `status` and `beat`; resumes at Last-Event-ID."""
        return EventStream(events(hub, last_event_id, site.now_ms, stop))


def _add_rows(app: FastAPI, site: SiteView) -> None:
    bounds = ("from", "to", "limit", "after")

    @app.get("/api/v1/intervals", summary="Interval rows", dependencies=[only("meter", *bounds)])
    async def intervals(
        meter: MeterId = None, since: From = None, to: To = None, limit: Limit = LIMIT, after: After = 0
    ) -> Response:
        """In seq order, the highest revision of each; the last 24 hours by default."""
        await _known(site, meter)
        from_ms, to_ms = _span(site, since, to, DAY_MS)
        rows = await site.ask(lambda: site.ledger.intervals(meter, from_ms, to_ms, limit, after))
        return _page(rows, limit)

    @app.get("/api/v1/readings", summary="Reading rows", dependencies=[only("meter", *bounds)])
    async def readings(
        meter: MeterId = None, since: From = None, to: To = None, limit: Limit = LIMIT, after: After = 0
    ) -> Response:
        """In seq order; the last hour by default, one day at most."""
        await _known(site, meter)
        from_ms, to_ms = _span(site, since, to, DAY_MS // 24)
        if min(to_ms, site.now_ms()) - from_ms > DAY_MS:
            raise ApiError("from and to are more than a day apart", hint="ask for readings day by day")
        rows = await site.ask(lambda: site.ledger.readings(meter, from_ms, to_ms, limit, after))
        return _page(rows, limit)

    @app.get("/api/v1/events", summary="Event rows", dependencies=[only("latest", *bounds)])
    async def event_rows(
        since: From = None,
        to: To = None,
        limit: Limit = LIMIT,
        after: After = 0,
        latest: Annotated[int | None, Query(ge=1, le=LIMIT_MAX, description="Newest first, so many.")] = None,
    ) -> Response:
        """In seq order from the first event on, or the `latest` ones, newest first."""
        if latest is not None:
            rows = await site.ask(lambda: site.ledger.events(0, FAR_MS, latest, 0, newest_first=True))
            return json_answer({"rows": rows, "next": None})
        from_ms, to_ms = _span(site, since, to, None)
        rows = await site.ask(lambda: site.ledger.events(from_ms, to_ms, limit, after))
        return _page(rows, limit)


def _span(site: SiteView, since: str | None, to: str | None, back_ms: int | None) -> tuple[int, int]:
    """[from, to) in ms; without `since`, `back_ms` before now (None: from the beginning)."""
    now_ms = site.now_ms()
    default_ms = 0 if back_ms is None else now_ms - back_ms
    from_ms = _moment(site, "from", since, now_ms) if since else default_ms
    to_ms = _moment(site, "to", to, now_ms) if to else FAR_MS
    if from_ms >= to_ms:
        raise ApiError("from is not before to", hint="the span is half-open: from ≤ t < to")
    return from_ms, to_ms


def _moment(site: SiteView, name: str, text: str, now_ms: int) -> int:
    # In a URL a bare + is a blank; no time that we read ends in " HH:MM" otherwise.
    said = text[:-6] + "+" + text[-5:] if len(text) > 16 and text[-6:-5] == " " else text
    try:
        return parse(said, now_ms, site.zone)
    except ValueError as error:
        raise ApiError(f"{name}: {error}", hint="local times are those of the site's time zone") from error


async def _known(site: SiteView, meter: str | None) -> None:
    if meter is not None and not await site.ask(lambda: site.knows(meter)):
        raise ApiError(f"there is no meter {meter!r}", hint="GET /api/v1/meters lists them", status=404)


def _page(rows: list[Row], limit: int) -> Response:
    return json_answer({"rows": rows, "next": rows[-1]["seq"] if len(rows) == limit else None})
