"""The command line beside a working gateway: asked between polls, and every row as the ledger has it."""

from __future__ import annotations

import csv
import io
import json
import struct
from typing import Any

import pytest

from gateway.store.reader import LedgerReader
from gateway.store.rows import Stream
from tests.e2e.rig import until
from tests.e2e.site.conftest import Site

KEY = "active_energy_import_wh"
STREAMS: tuple[Stream, ...] = ("readings", "intervals", "events")


def test_read_asks_the_meter_between_two_polls(site: Site) -> None:
    (said,) = site.json("read", "press-1")
    assert said["meter"] == "press-1"
    assert said["quality"] == []
    assert round(said["values"][KEY] * 1000) in site.plant.shown_mwh("press-1")
    table = site.call("read", "drive-1")
    assert table.returncode == 0, table.stderr
    assert table.stdout.splitlines()[0].split() == ["drive-1", "value", "unit"]


def test_regs_shows_the_register_words_as_sent(site: Site) -> None:
    words = site.json("regs", "press-1", "0x48", "2", "--function", "4")
    assert [word["address"] for word in words] == [72, 73]
    raw = b"".join(word["uint16"].to_bytes(2, "big") for word in words)
    assert [word["hex"] for word in words] == [f"0x{raw[:2].hex().upper()}", f"0x{raw[2:].hex().upper()}"]
    (kwh,) = struct.unpack(">f", raw)
    assert round(kwh * 1_000_000) in site.plant.shown_mwh("press-1")


def test_asking_costs_no_poll(site: Site) -> None:
    site.json("regs", "press-1", "72", "--function", "4")
    before = site.ledger.last_seq("readings")
    until(lambda: site.ledger.last_seq("readings") > before, "the next commit")
    counts = site.ledger.counts(0, 1 << 60)["press-1"]
    assert counts.missed == {}
    assert counts.valid == counts.attempted > 0


@pytest.mark.parametrize(
    ("command", "code", "message", "hint"),
    [
        (("regs", "press-1", "9999", "--function", "4"), 5, "refuses registers 9999+2", "profile of the meter"),
        (("read", "mute-1"), 4, "no answer within 1000 ms", "wiring"),
        (("read", "lost-1"), 4, "there is no such device", "ls -l"),
        (("read", "feeder-1"), 1, "speaks by itself", "wattledger status"),
        (("read", "press-9"), 3, 'no meter "press-9"', "config show"),
    ],
)
def test_what_cannot_be_read_ends_with_its_code_and_the_next_command(
    site: Site, command: tuple[str, ...], code: int, message: str, hint: str
) -> None:
    done = site.call(*command)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert hint in done.stderr


def test_status_names_what_is_wrong_and_the_command_that_shows_why(site: Site) -> None:
    done = site.call("status")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert lines["press-1"].endswith("ok")
    assert "there is no such device" in lines["lost-1"]
    assert "not permitted" in lines["locked-1"]
    assert "no answer within 1000 ms" in lines["mute-1"]
    assert f"ls -l {site.folder}/not-mine; id" in done.stdout


@pytest.mark.parametrize("stream", STREAMS)
def test_rows_are_printed_as_the_ledger_has_them(site: Site, stream: Stream) -> None:
    until(lambda: site.ledger.last_seq("intervals"), "the first interval row", 30)
    rows = site.json(stream, "--from", "-1h")
    assert rows
    assert rows == _all(site.ledger, stream)[: len(rows)]
    done = site.call(stream, "--csv", "--from", "-1h")
    printed = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(printed) >= len(rows)
    for row, cells in zip(rows, printed, strict=False):
        assert cells["seq"] == str(row["seq"])
        for key, value in row.get("values", {}).items():
            assert float(cells[f"values.{key}"]) == value
    table = site.call(stream, "--from", "-1h", "--limit", "3")
    assert len(table.stdout.splitlines()) == 4, "a head and three rows"


def test_rows_of_one_meter_and_of_no_time_at_all(site: Site) -> None:
    rows = site.json("readings", "--meter", "press-1", "--from", "-1h")
    assert {row["meter"] for row in rows} == {"press-1"}
    assert site.json("readings", "--from", "-2h", "--to", "-1h") == []
    wrong = site.call("readings", "--from", "yesterday-ish")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert "yesterday-ish" in wrong.stderr


def test_a_backup_taken_while_collect_writes_is_whole_and_readable(site: Site) -> None:
    before = {stream: site.ledger.last_seq(stream) for stream in STREAMS}
    target = site.folder / "copy" / "ledger.db"
    target.parent.mkdir()
    done = site.call("backup", str(target))
    assert done.returncode == 0, done.stderr
    assert [p.name for p in target.parent.iterdir()] == ["ledger.db"]
    copy = LedgerReader(target.parent)
    for stream, seq in before.items():
        rows = _all(copy, stream)
        assert len(rows) >= seq
        assert rows == _all(site.ledger, stream)[: len(rows)]
    again = site.call("backup", str(target))
    assert again.returncode == 7
    assert "exists already" in again.stderr


def _all(reader: LedgerReader, stream: Stream) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while page := reader.rows(stream, len(rows) + 1, len(rows) + 1000):
        rows += page
    return json.loads(json.dumps(rows))  # type: ignore[no-any-return]
