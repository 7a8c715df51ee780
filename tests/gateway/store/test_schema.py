"""Format versions, migrations and the documented views."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import ModuleType

import pytest
from sqlite_utils import Database

from engine.errors import StoreError
from gateway.store import schema
from gateway.store.db import database
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader


def test_the_format_is_written_where_a_foreign_program_looks(ledger: Ledger, tmp_path: Path) -> None:
    found = LedgerReader(tmp_path).query("select * from pragma_user_version, pragma_application_id")
    assert found == [{"user_version": schema.FORMAT, "application_id": 0x574C4447}]


def test_every_table_column_and_view_is_in_the_format_page(ledger: Ledger) -> None:
    page = (Path(schema.__file__).parents[2] / "docs" / "formats" / "db.md").read_text(encoding="utf-8")
    db = database(ledger._conn)
    named = {table.name for table in db.tables} | {view.name for view in db.views}
    named |= {column for table in db.tables for column in table.columns_dict}
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_a_newer_format_is_refused_by_writer_and_reader(
    ledger: Ledger, sample: ModuleType, tmp_path: Path
) -> None:
    ledger.close()
    file = sqlite3.connect(tmp_path / "ledger.db")
    file.execute(f"pragma user_version = {schema.FORMAT + 1}")
    file.close()
    with pytest.raises(StoreError, match=f"has format {schema.FORMAT + 1}, this program knows up to"):
        sample.open_ledger(tmp_path)
    with pytest.raises(StoreError, match=f"has format {schema.FORMAT + 1}") as refused:
        LedgerReader(tmp_path).last_seq("events")
    assert "a newer wattledger wrote it: install" in refused.value.hint


def test_missing_steps_are_taken_in_order_and_only_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def second(db: Database) -> None:
        db.table("meters").add_column("maker", str)

    def third(db: Database) -> None:
        db.table("meters").insert({"num": 1, "id": "fan", "maker": "wu"})

    db = database(sqlite3.connect(tmp_path / "x.db", isolation_level=None))
    schema.migrate(db)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, second, third))
    schema.migrate(db)
    schema.migrate(db)
    assert list(db.query("select * from meters")) == [{"num": 1, "id": "fan", "maker": "wu"}]
    assert db.execute("pragma user_version").fetchone() == (schema.FORMAT + 2,)
    db.conn.close()


def test_a_step_that_fails_leaves_the_format_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(db: Database) -> None:
        db.table("meters").add_column("maker", str)
        raise RuntimeError("power cut")

    db = database(sqlite3.connect(tmp_path / "x.db", isolation_level=None))
    schema.migrate(db)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    with pytest.raises(RuntimeError, match="power cut"):
        schema.migrate(db)
    assert db.execute("pragma user_version").fetchone() == (schema.FORMAT,)
    assert "maker" not in db.table("meters").columns_dict
    db.conn.close()


def test_the_interval_view_speaks_kwh_and_utc(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    ledger.commit(sample.commit(1))
    good, late = LedgerReader(tmp_path).query("select * from v_intervals order by seq")
    assert good == {
        "seq": 1, "revision": 0, "cause": None, "meter": "main-1", "role": "grid", "parent": None,
        "start": "2025-11-21T08:15:00Z", "seconds": 900, "active_energy_import_kwh": 0.123457,
        "active_energy_export_kwh": 0.0, "reactive_energy_import_kvarh": 0.04,
        "reactive_energy_export_kvarh": 0.001, "demand_kw": 0.493827, "co2_kg": None, "co2_factor": None,
        "quality": "", "readings_valid": 89, "readings_due": 90,
    }  # fmt: skip
    assert (late["quality"], late["parent"], late["revision"], late["cause"]) == ("est_linear", "main-1", 1, "late")
    assert late["active_energy_export_kwh"] is None


def test_the_event_view_has_both_languages(ledger: Ledger, sample: ModuleType, tmp_path: Path) -> None:
    ledger.commit(sample.commit(1))
    (row,) = LedgerReader(tmp_path).query("select t, kind, severity, until, text_en, text_zh from v_events")
    assert row == {
        "t": "2025-11-21T08:00:10.000Z", "kind": "decision", "severity": "info", "until": None,
        "text_en": "wu: mark 1 (test)", "text_zh": sample.commit(1).events[0].text()["zh"],
    }  # fmt: skip
