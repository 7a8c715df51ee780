"""Tables and views of `ledger.db`, and the numbered steps that lead to them (docs/formats/db.md)."""

from __future__ import annotations

from collections.abc import Callable

from sqlite_utils import Database

from engine.reading import Quality

APPLICATION_ID = 0x574C4447  # "WLDG": `file` and a foreign reader know it by this


def _first(db: Database) -> None:
    """Format 1."""
    db.table("meta").create({"key": str, "value": str}, pk="key", not_null={"value"})
    db.table("streams").create({"stream": str, "moved": int}, pk="stream", not_null={"moved"})
    db.table("meters").create({"num": int, "id": str}, pk="num", not_null={"id"})
    db.table("layouts").create(
        {"num": int, "digest": str, "text": str, "from_ms": int},
        pk="num",
        not_null={"digest", "text", "from_ms"},
    )
    db.table("texts").create({"digest": str, "text": str}, pk="digest", not_null={"text"})
    db.table("in_force").create(
        {"num": int, "kind": str, "id": str, "digest": str, "from_ms": int},
        pk="num",
        not_null={"kind", "id", "digest", "from_ms"},
    )
    db.table("boots").create(
        {"boot_id": int, "started_ms": int, "version": str}, pk="boot_id", not_null={"started_ms", "version"}
    )
    db.table("clock").create(
        {"num": int, "boot_id": int, "mono_ms": int, "offset_ms": int, "t_ms": int, "cause": str},
        pk="num",
        not_null={"boot_id", "mono_ms", "offset_ms", "t_ms", "cause"},
    )
    db.table("commits").create(
        {"num": int, "t_ms": int, "boot_id": int, "reading_first": int, "reading_last": int,
         "t_min_ms": int, "t_max_ms": int, "counts": str, "readings": bytes},
        pk="num",
        not_null={"t_ms", "boot_id", "t_min_ms", "t_max_ms", "counts"},
    )  # fmt: skip
    db.table("attributions").create(
        {"num": int, "role": str, "parent": str, "factors": str}, pk="num", not_null={"role", "factors"}
    )
    db.table("intervals").create(
        {"seq": int, "meter": int, "start_ms": int, "seconds": int, "revision": int, "cause": str,
         "import_mwh": int, "export_mwh": int, "reactive_import_mvarh": int, "reactive_export_mvarh": int,
         "demand_mw": int, "valid": int, "due": int, "flags": int, "parts": str, "attribution": int,
         "co2_ng": str},
        pk="seq",
        not_null={"meter", "start_ms", "seconds", "revision", "valid", "due", "flags", "attribution",
                  "co2_ng"},
    )  # fmt: skip
    db.table("events").create(
        {"seq": int, "t_ms": int, "kind": str, "severity": str, "meter": str, "bus": str, "until_ms": int,
         "text_en": str, "text_zh": str, "data": str},
        pk="seq",
        not_null={"t_ms", "kind", "severity", "text_en", "text_zh", "data"},
    )  # fmt: skip
    db.table("held").create({"num": int, "readings": bytes}, pk="num", not_null={"readings"})
    db.table("snapshots").create(
        {"num": int, "t_ms": int, "through_seq": int, "data": bytes},
        pk="num",
        not_null={"t_ms", "through_seq", "data"},
    )
    db.table("meters").create_index(["id"], unique=True)
    db.table("layouts").create_index(["digest"], unique=True)
    db.table("commits").create_index(["reading_last"], "commits_by_seq")
    db.table("commits").create_index(["t_max_ms", "t_min_ms"], "commits_by_time")
    db.table("intervals").create_index(["start_ms", "meter"], "intervals_by_time")
    db.table("events").create_index(["t_ms"], "events_by_time")


# Never change a step that was released; append one.
MIGRATIONS: tuple[Callable[[Database], None], ...] = (_first,)
FORMAT = len(MIGRATIONS)


def _utc(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000, 'unixepoch')"


def _quality(column: str) -> str:
    names = " || ".join(f"iif({column} & {q.value}, '{str(q.name).lower()} ', '')" for q in Quality)
    return f"rtrim({names})"


_V_INTERVALS = f"""
select i.seq, i.revision, i.cause, m.id as meter, a.role, a.parent,
  {_utc("i.start_ms")} || 'Z' as start, i.seconds,
  i.import_mwh / 1e6 as active_energy_import_kwh,
  i.export_mwh / 1e6 as active_energy_export_kwh,
  i.reactive_import_mvarh / 1e6 as reactive_energy_import_kvarh,
  i.reactive_export_mvarh / 1e6 as reactive_energy_export_kvarh,
  i.demand_mw / 1e6 as demand_kw,
  json_extract(i.co2_ng, '$[0]') / 1e12 as co2_kg,
  json_extract(a.factors, '$[0].factor') as co2_factor,
  {_quality("i.flags")} as quality,
  i.valid as readings_valid, i.due as readings_due
from intervals i join meters m on m.num = i.meter join attributions a on a.num = i.attribution
"""

_V_EVENTS = f"""
select seq, {_utc("t_ms")} || printf('.%03dZ', t_ms % 1000) as t, kind, severity, meter, bus,
  {_utc("until_ms")} || printf('.%03dZ', until_ms % 1000) as until, text_en, text_zh, data
from events
"""

VIEWS = {"v_intervals": _V_INTERVALS, "v_events": _V_EVENTS}


def migrate(db: Database) -> None:
    """Take every step that is still missing, each in its own transaction, and renew the views."""
    done = db.execute("pragma user_version").fetchone()[0]
    for number, step in enumerate(MIGRATIONS[done:], done + 1):
        with db.atomic():
            step(db)
            db.execute(f"pragma user_version = {number}")
            db.execute(f"pragma application_id = {APPLICATION_ID}")
    with db.atomic():
        for name, sql in VIEWS.items():
            db.create_view(name, sql.strip(), replace=True)
