"""The HTTP interface over ASGI: rows, bounds and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from gateway.live import LiveReader
from gateway.store.reader import LedgerReader
from gateway.timespan import utc_text
from gateway.uplink.account import read_state
from gateway.web.api import build_api
from gateway.web.hub import LiveHub
from gateway.web.site import SiteView


@pytest.fixture
async def api(plant: Any) -> AsyncIterator[httpx.AsyncClient]:
    settings = plant.settings()
    live = LiveReader(settings.store.runtime_dir, lambda: plant.now_ms)
    ledger = LedgerReader(settings.store.path)
    with ThreadPoolExecutor(1) as reading:
        site = SiteView(settings, live, ledger, read_state, lambda: plant.now_ms, reading, "1.2.3", "birth")
        app = build_api(site, LiveHub(live, site.status, "birth"), asyncio.Event())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://web") as client:
            yield client
        reading.submit(ledger.close).result()


async def rows(api: httpx.AsyncClient, address: str) -> list[dict[str, Any]]:
    answer = await api.get(address)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


async def refusal(api: httpx.AsyncClient, address: str, status: int = 400) -> str:
    answer = await api.get(address)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert sorted(body) == ["error", "hint"]
    assert body["hint"]
    return str(body["error"])


async def test_the_page_and_its_files_are_served_with_their_types(api: httpx.AsyncClient) -> None:
    types = {}
    for address in ("/", "/static/js/main.js", "/static/css/page.css", "/static/i18n/zh.json", "/static/icon.svg"):
        answer = await api.get(address)
        types[address] = (answer.status_code, answer.headers["content-type"].partition(";")[0])
    assert types == {
        "/": (200, "text/html"),
        "/static/js/main.js": (200, "text/javascript"),
        "/static/css/page.css": (200, "text/css"),
        "/static/i18n/zh.json": (200, "application/json"),
        "/static/icon.svg": (200, "image/svg+xml"),
    }


async def test_an_unchanged_file_is_not_sent_twice(api: httpx.AsyncClient) -> None:
    first = await api.get("/static/js/main.js")
    again = await api.get("/static/js/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["../main.py", "..%2fmain.py", "%2e%2e/main.py", "js", "js/none.js", ""])
async def test_only_the_pages_own_files_are_served(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(f"/static/{path}")
    assert answer.status_code == 404
    assert answer.json()["hint"]


async def test_healthz_says_that_the_process_lives(api: httpx.AsyncClient) -> None:
    assert (await api.get("/healthz")).json() == {"ok": True}


async def test_status_tells_a_plant_where_all_is_well(plant: Any, api: httpx.AsyncClient) -> None:
    plant.fill_ledger(minutes=2)
    plant.write_live()
    plant.write_uplink()
    status = (await api.get("/api/v1/status")).json()
    assert status["level"] == "ok"
    assert [part["key"] for part in status["sentence"]] == ["all_answer", "upload_up_to_date"]
    assert status["site"] == {
        "id": "plant-7", "name": "Plant 7, Suzhou", "gateway": "gw-1", "timezone": "Asia/Shanghai",
        "language": "en", "energy_interval_s": 60,
    }  # fmt: skip
    assert status["meters"]["answering"] == ["main-1", "press-1", "press-2", "oven"]
    assert status["total"] == {"basis": "grid", "of": ["main-1"]}
    assert status["carbon"] == {"factor": "cn.grid.national.2023", "gas": "CO2"}
    assert status["storage"]["last_seq"] == {"readings": 4, "intervals": 8, "events": 5}
    assert status["storage"]["ledger_bytes"] > 4096
    assert status["storage"]["total_bytes"] > status["storage"]["free_bytes"] > 0


async def test_status_works_before_anything_else_ever_ran(api: httpx.AsyncClient) -> None:
    status = (await api.get("/api/v1/status")).json()
    assert [part["key"] for part in status["sentence"]] == ["not_started"]
    assert status["collect"] == {"state": "never", "age_ms": None, "boot": None}
    assert status["storage"]["state"] == "absent"
    assert status["upload"]["state"] == "never"


async def test_status_names_a_ledger_that_cannot_be_read(plant: Any, api: httpx.AsyncClient) -> None:
    plant.write_live()
    plant.store.mkdir()
    (plant.store / "ledger.db").write_bytes(b"this is not a ledger" * 100)
    status = (await api.get("/api/v1/status")).json()
    assert status["level"] == "error"
    assert "ledger_unreadable" in [part["key"] for part in status["sentence"]]
    assert "ledger.db" in status["storage"]["error"]
    assert status["storage"]["hint"]
    answer = await api.get("/api/v1/events")
    assert answer.status_code == 503
    assert "ledger.db" in answer.json()["error"]


async def test_status_names_an_uplink_state_that_cannot_be_read(plant: Any, api: httpx.AsyncClient) -> None:
    plant.write_live()
    file = plant.settings().store.uplink_dir / "uplink.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no database" * 100)
    upload = (await api.get("/api/v1/status")).json()["upload"]
    assert upload["state"] == "stopped"
    assert "uplink.db" in upload["detail"]["en"]
    assert upload["hint"]["zh"]


async def test_meters_carry_what_is_configured_and_their_live_payload(plant: Any, api: httpx.AsyncClient) -> None:
    plant.write_live()
    found = await rows(api, "/api/v1/meters")
    payload = json.loads(plant.live_file.read_bytes())["meters"]["press-1"]
    assert found[1] == {
        "id": "press-1", "name": "Press 1", "bus": "hall-a", "profile": "eastron-sdm630", "role": "load",
        "interval_s": 10.0, "parent": "main-1", "rated_power_w": 250_000.0, "live": payload,
    }  # fmt: skip


async def test_intervals_are_the_ledgers_rows_page_by_page(plant: Any, api: httpx.AsyncClient) -> None:
    plant.fill_ledger(minutes=5)
    everything = LedgerReader(plant.store).rows("intervals", 1, 100)
    assert await rows(api, "/api/v1/intervals") == everything
    seen, address = [], "/api/v1/intervals?limit=7"
    for after in (7, 14, None):
        body = (await api.get(address)).json()
        seen += body["rows"]
        assert body["next"] == after
        address = f"/api/v1/intervals?limit=7&after={after}"
    assert seen == everything
    assert {row["meter"] for row in await rows(api, "/api/v1/intervals?meter=oven")} == {"oven"}


async def test_a_span_is_half_open_and_read_in_the_sites_zone(plant: Any, noon_ms: int, api: httpx.AsyncClient) -> None:
    plant.now_ms = noon_ms
    plant.fill_ledger(minutes=30)
    whole = await rows(api, "/api/v1/intervals?meter=oven&from=2026-11-20T11:40&to=2026-11-20T11:45")
    assert [row["start"] for row in whole] == [f"2026-11-20T03:{minute}:00Z" for minute in range(40, 45)]
    for span in (
        "from=2026-11-20T11:40:00%2B08:00&to=2026-11-20T03:45:00Z",
        "from=2026-11-20T11:40:00+08:00&to=-15m",
        "from=-20m&to=2026-11-20 11:45",
    ):
        assert await rows(api, f"/api/v1/intervals?meter=oven&{span}") == whole


async def test_readings_are_the_ledgers_rows(plant: Any, api: httpx.AsyncClient) -> None:
    plant.fill_ledger(minutes=1)
    found = await rows(api, "/api/v1/readings?meter=press-1")
    assert found == [row for row in LedgerReader(plant.store).rows("readings", 1, 10) if row["meter"] == "press-1"]
    assert found[0]["values"]["active_power_w"] == 96_250


async def test_events_come_in_order_or_newest_first(plant: Any, api: httpx.AsyncClient) -> None:
    plant.fill_ledger(minutes=1)
    assert [row["kind"] for row in await rows(api, "/api/v1/events")] == [
        "boot", "meter_silent", "meter_back", "bus_down", "bus_up",
    ]  # fmt: skip
    newest = await rows(api, "/api/v1/events?latest=2")
    assert [row["seq"] for row in newest] == [5, 4]
    assert sorted(newest[0]["text"]) == ["en", "zh"]


async def test_the_load_curve_is_the_mean_power_of_the_closed_intervals(
    plant: Any, noon_ms: int, api: httpx.AsyncClient
) -> None:
    plant.now_ms = noon_ms
    power = [60_000.0, 120_000.0, 90_000.0]
    start_ms = noon_ms - 3 * 60_000
    plant.commit(
        intervals=[plant.interval("main-1", start_ms + n * 60_000, watt) for n, watt in enumerate(power)], boot=True
    )
    body = (await api.get("/api/v1/load")).json()
    assert (body["day"], body["step_s"], body["of"]) == ("2026-11-20", 60, ["main-1"])
    assert body["since"] == utc_text(start_ms)
    assert body["mean_power_w"] == power
    assert body["coverage"] == [1.0, 1.0, 1.0]
    assert (await api.get("/api/v1/load?day=2026-11-19")).json()["mean_power_w"] == []
    assert (await api.get("/api/v1/load?meter=oven")).json()["of"] == ["oven"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/api/v1/intervals?limit=1001", "limit: "),
        ("/api/v1/intervals?limit=0", "limit: "),
        ("/api/v1/intervals?limit=many", "limit: "),
        ("/api/v1/intervals?after=-1", "after: "),
        ("/api/v1/intervals?form=-1h", "'form'"),
        ("/api/v1/intervals?from=yesterday", "from: 'yesterday' is not a time"),
        ("/api/v1/intervals?to=2026-02-30", "to: "),
        ("/api/v1/intervals?from=-1h&to=-2h", "from is not before to"),
        ("/api/v1/intervals?meter=No_Such", "meter: "),
        ("/api/v1/readings?from=-48h", "more than a day"),
        ("/api/v1/events?latest=5000", "latest: "),
        ("/api/v1/load?day=today", "day: "),
        ("/api/v1/status?pretty=1", "'pretty'"),
    ],
)
async def test_what_is_asked_wrongly_is_refused_with_a_hint(
    plant: Any, api: httpx.AsyncClient, address: str, said: str
) -> None:
    plant.fill_ledger(minutes=1)
    assert said in await refusal(api, address)


async def test_an_unknown_meter_is_not_found(plant: Any, api: httpx.AsyncClient) -> None:
    plant.fill_ledger(minutes=1)
    for name in ("intervals", "readings", "load"):
        assert "no meter 'press-9'" in await refusal(api, f"/api/v1/{name}?meter=press-9", 404)


async def test_a_removed_meter_still_shows_what_it_measured(plant: Any, api: httpx.AsyncClient) -> None:
    attributed = [plant.interval("press-1", plant.now_ms - 120_000, 1000.0)]
    plant.commit(intervals=attributed, boot=True)
    plant.meters = plant.meters[:1]
    assert len(await rows(api, "/api/v1/intervals?meter=press-1")) == 1


async def test_nothing_can_be_written(api: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await api.request(method, "/api/v1/meters")
        assert answer.status_code == 405
        assert "only reads" in answer.json()["error"]


async def test_an_unknown_address_is_answered_in_json(api: httpx.AsyncClient) -> None:
    assert "/api/v2/meters" in await refusal(api, "/api/v2/meters", 404)


async def test_openapi_describes_every_endpoint_and_no_docs_page_loads_a_cdn(api: httpx.AsyncClient) -> None:
    described = (await api.get("/api/v1/openapi.json")).json()["paths"]
    assert sorted(described) == [
        "/api/v1/events", "/api/v1/intervals", "/api/v1/load", "/api/v1/meters", "/api/v1/readings",
        "/api/v1/status", "/api/v1/stream", "/healthz",
    ]  # fmt: skip
    for page in ("/docs", "/redoc"):
        assert (await api.get(page)).status_code == 404
