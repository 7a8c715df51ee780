"""Payloads against the contract, from literals."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from paper_ledger import row

from gateway.uplink import envelope
from gateway.uplink.envelope import Head, cut_columns, cut_objects

HEAD = Head("gw-1", 1_700_000_000_000, "readings")


def rows(count: int, first: int = 1) -> list[envelope.Row]:
    return [row("readings", seq) for seq in range(first, first + count)]


def test_topics_and_client_id_are_those_of_the_contract() -> None:
    assert envelope.base_topic("plant-7", "gw-1") == "wattledger/v1/plant-7/gw-1"
    assert envelope.client_id("plant-7", "gw-1") == "wattledger-plant-7-gw-1"


def test_a_batch_is_written_byte_for_byte() -> None:
    event = {"seq": 41, "kind": "boot", "text": {"zh": "网关已启动"}}
    cut = cut_objects([event], Head("gw-1", 17, "events"), 1_795_224_767_802, 1000)
    assert cut == (
        41,
        [
            '{"v":1,"gateway":"gw-1","epoch":17,"stream":"events","from":41,"to":41,"sent_ms":1795224767802,'
            '"rows":[{"seq":41,"kind":"boot","text":{"zh":"网关已启动"}}]}'.encode()
        ],
    )


@given(st.integers(1, 40), st.integers(900, 30_000), st.integers(1, 10**9))
def test_a_batch_holds_the_first_rows_that_fit_and_never_more_bytes(count: int, bytes_max: int, first: int) -> None:
    given_rows = rows(count, first)
    last, (payload,) = cut_objects(given_rows, HEAD, 1_795_224_767_802, bytes_max)
    body = json.loads(payload)
    assert len(payload) <= bytes_max
    assert body["rows"] == given_rows[: last - first + 1]
    assert (body["from"], body["to"]) == (first, last)
    if last < first + count - 1:
        one_more = len(payload) + len(json.dumps(given_rows[last - first + 1], separators=(",", ":")))
        assert one_more > bytes_max - 20


def test_a_row_that_does_not_fit_gives_no_message() -> None:
    assert cut_objects(rows(1, 5), HEAD, 0, 300) == (4, [])
    assert cut_columns(rows(1, 5), HEAD, 0, 300) == (4, [])


@given(st.integers(1, 60), st.integers(1500, 30_000))
def test_tables_hold_every_row_once_and_no_value_is_lost(count: int, bytes_max: int) -> None:
    given_rows = rows(count)
    given_rows[0]["values"] = {"only_here_w": 1.5}
    given_rows[-1]["quality"] = ["partial"]
    last, payloads = cut_columns(given_rows, HEAD, 7, bytes_max)
    seen = []
    for payload in payloads:
        body = json.loads(payload)
        assert len(payload) <= bytes_max
        assert body["columns"][0] == "t"
        for seq, *fields in body["rows"]:
            named = dict(zip(body["columns"], fields, strict=True))
            t, quality = named.pop("t"), named.pop("quality")
            values = {key: value for key, value in named.items() if value is not None}
            seen.append({"seq": seq, "meter": body["meter"], "t": t, "values": values, "quality": quality})
        assert (body["from"], body["to"]) == (body["rows"][0][0], body["rows"][-1][0])
    assert sorted(seen, key=lambda r: r["seq"]) == given_rows[:last]


def test_the_anchor_names_the_row_and_not_its_figures() -> None:
    first, second = row("readings", 7), row("readings", 7)
    second["values"] = {}
    assert envelope.anchor(first) == envelope.anchor(second)
    assert envelope.anchor(first) != envelope.anchor(row("readings", 8))
    interval = {"seq": 1, "meter": "a", "start": "2026-11-20T08:00:00Z", "seconds": 900, "revision": 0}
    assert envelope.anchor(interval) != envelope.anchor({**interval, "revision": 1})


def test_times_are_utc_with_milliseconds() -> None:
    assert envelope.timestamp(1_795_224_767_005) == "2026-11-21T01:32:47.005Z"
