"""The live file: what is shown of a meter, whole even where its answers are sparse."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.ledger import Engine
from engine.reading import Reading
from gateway.collect.live import Live, Midnight
from gateway.collect.points import Metered, metered
from gateway.collect.start import factor_refs
from gateway.site.file import parse

SITE = """
[site]
id = "test"
timezone = "Asia/Shanghai"
[[bus]]
id = "rtu"
protocol = "iec104"
host = "127.0.0.1"
[[meter]]
id = "yard-1"
bus = "rtu"
address = 1
profile = "iec104-typical"
"""
NOW_MS = 1_790_000_000_000


def _reading(meter: Metered, t_ms: int, **values: float | int) -> Reading:
    columns = meter.point.layout.columns
    cells = [
        struct.unpack(">I", struct.pack(">f", values[c.quantity]))[0]
        if c.quantity in values and c.wire == "float32" else values.get(c.quantity)
        for c in columns
    ]  # fmt: skip
    return Reading("yard-1", t_ms, 1, 0, meter.point.layout.digest, tuple(cells))  # type: ignore[arg-type]


@pytest.fixture
def live(tmp_path: Path) -> tuple[Live, Metered, Path]:
    settings = parse(SITE, tmp_path / "site.toml")
    meters = metered(settings)
    engine = Engine([m.device for m in meters.values()], settings.site.energy_interval)
    path = tmp_path / "run" / "live"
    zone = ZoneInfo("Asia/Shanghai")
    return Live(path, 1, engine.running, meters, factor_refs(settings), zone), meters["yard-1"], path


def test_a_sparse_answer_completes_what_the_meter_sent_before(live: tuple[Live, Metered, Path]) -> None:
    shown, meter, path = live
    shown.show(_reading(meter, NOW_MS, active_power=6.072))
    shown.show(_reading(meter, NOW_MS + 1, frequency=5000))
    shown.write(NOW_MS + 2, {}, {}, {})
    payload = json.loads(path.read_text())["meters"]["yard-1"]
    assert payload["t"] == "2026-09-21T14:13:20.001Z"
    assert payload["values"] == {"active_power_w": 6072, "frequency_hz": 50}
    assert payload["running"]["since"] == "2026-09-20T16:00:00.000Z", "midnight in Shanghai"


def test_the_file_is_renewed_once_a_second_even_if_nothing_came(live: tuple[Live, Metered, Path]) -> None:
    shown, _, path = live
    shown.write(NOW_MS, {}, {}, {})
    first = path.stat().st_ino
    shown.write(NOW_MS + 999, {}, {}, {})
    assert path.stat().st_ino == first
    shown.write(NOW_MS + 1000, {}, {}, {})
    assert json.loads(path.read_text())["t"] == "2026-09-21T14:13:21.000Z"
    shown.remove()
    assert not path.exists()


def test_midnight_is_the_local_one_also_on_the_day_the_clocks_change() -> None:
    midnight = Midnight(ZoneInfo("Europe/Berlin"))
    spring = 1_774_746_000_000  # 2026-03-29T01:00Z, an hour after the change
    assert midnight.before(spring) == 1_774_738_800_000  # 2026-03-28T23:00Z
    assert midnight.before(spring + 22 * 3_600_000) == 1_774_738_800_000 + 23 * 3_600_000
