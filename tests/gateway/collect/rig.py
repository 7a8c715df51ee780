"""A collect pipeline with real engine and ledger, a clock that the test turns, and answers made by hand."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from drivers.bus import Answer
from engine.ledger import Engine
from engine.reading import Reading
from gateway.clock import Clock
from gateway.collect.account import Account
from gateway.collect.clockwatch import Step
from gateway.collect.hold import Hold
from gateway.collect.pipeline import Pipeline
from gateway.collect.points import metered
from gateway.collect.start import attributions, factor_refs, first_events, opening, recall
from gateway.site.file import parse
from gateway.store.commit import Boot
from gateway.store.log import Ledger
from gateway.store.reader import LedgerReader

START_MS = 1_790_000_000_000 - 1_790_000_000_000 % 900_000
SITE = """
[site]
id = "test"
clock = "trust"
energy_interval = "10s"
[[bus]]
id = "hall"
protocol = "modbus-tcp"
host = "127.0.0.1"
[[meter]]
id = "press-1"
bus = "hall"
address = 1
profile = "eastron-sdm630"
interval = "1s"
rated_power = "250 kW"
"""


@dataclass
class Box:
    """One run of the pipeline on a store directory. `now_ms` is turned by the test."""

    store: Path
    now_ms: int = START_MS
    synced: bool = True
    hold_ms: int = 3_600_000
    shown: list[Reading] = field(default_factory=list)
    site: str = SITE

    def __post_init__(self) -> None:
        settings = parse(self.site, self.store / "site.toml")
        self.settings = settings
        self.clock = Clock(lambda: self.now_ms * 1_000_000, lambda: (self.now_ms - START_MS + 60_000) * 1_000_000)
        self.ledger = Ledger.open(self.store, site="test", gateway="gw-1", now_ms=self.now_ms)
        self.meters = metered(settings)
        self.past = recall(self.store, self.meters, settings.site.energy_interval)
        self.hold = Hold(self.clock, self.hold_ms, synced=self.synced)
        self.account = Account({"press-1": 1000}, self.now_ms)
        factors = factor_refs(settings)
        boot = Boot(self.ledger.next_boot_id, self.now_ms, "0")
        self.pipeline = Pipeline(
            meters=self.meters,
            attributions=attributions(settings, factors),
            clock=self.clock,
            boot_id=boot.boot_id,
            engine=self.past.engine,
            ledger=self.ledger,
            account=self.account,
            hold=self.hold,
            show=self.shown.append,
        )
        last_ms = self.past.last_commit_ms
        box_ticks = self.account.box_off(last_ms, self.past.known) if last_ms is not None else 0
        events = first_events(settings, self.past, self.now_ms, "", epoch=None, box_ticks=box_ticks)
        self.pipeline.open_with(opening(settings, self.meters, factors, self.clock, boot, events, None))

        if self.past.last_commit_ms is not None:
            self.pipeline.clock_went_back(self.past.last_commit_ms - self.now_ms)

    @property
    def engine(self) -> Engine:
        return self.past.engine

    @property
    def engine_now(self) -> Engine:
        """The engine in use: a clock far ahead makes the pipeline begin with a new one."""
        return self.pipeline._engine

    def step_clock(self, ms: int) -> None:
        """The system's wall clock jumps; the monotonic one does not."""
        before_ms = self.clock.now_ms()
        self.clock.offset_ns += ms * 1_000_000
        self.pipeline.stepped(Step("step", self.clock.mono_ms(), before_ms, before_ms + ms))

    def answer(self, kwh: float, *, tag_ms: int | None = None, flags: int = 0) -> bool:
        """An SDM630 answer now, with this import register [kWh]."""
        columns: list[int | None] = [None] * len(self.meters["press-1"].point.layout.columns)
        for index, column in enumerate(self.meters["press-1"].point.layout.columns):
            if column.quantity == "active_energy_import":
                columns[index] = struct.unpack(">I", struct.pack(">f", kwh))[0]
        mono_ns = (self.now_ms - START_MS + 60_000) * 1_000_000
        return self.pipeline.deliver(Answer("press-1", mono_ns, tuple(columns), flags, tag_ms))

    def reader(self) -> LedgerReader:
        return LedgerReader(self.store)

    def close(self) -> None:
        self.ledger.close()
