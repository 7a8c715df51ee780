"""Start of `collect`: the engine as it was, and the first commit: boot, clock, and everything now in force."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.decode import Converter
from engine.errors import StoreError
from engine.event import Event
from engine.ledger import Engine, Sample, snapshot_interval_ms
from engine.reading import Quality, Reading
from gateway.clock import Clock
from gateway.collect.pipeline import sample_of
from gateway.collect.points import Metered
from gateway.site.factors import load_factor
from gateway.site.profiles import profile_texts
from gateway.site.settings import Settings
from gateway.store.commit import Boot, ClockRow, Commit, InForce
from gateway.store.reader import LedgerReader
from gateway.store.rows import STREAMS, Attribution, FactorRef
from gateway.uplink.account import read_cursors

log = logging.getLogger("wattledger.collect")
PAGE = 1000
_CHANGED = {
    "en": "its registers mean something else now (profile, ct, vt, reverse or serial were changed)",
    "zh": "其寄存器含义已变(profile、ct、vt、reverse 或 serial 已更改)",
}
_DAMAGED = {"en": "the stored state was damaged", "zh": "已存储的状态已损坏"}
_CREATED = {"en": "a new ledger was created", "zh": "新建账本"}
_OLDER = {
    "en": "more was delivered than this ledger holds, it is an older copy; everything is sent again",
    "zh": "已送达的数据多于本账本所存，账本为较早的副本；将全部重新发送",
}


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger tells about the time before this start. `restarted`: meters that count anew, and why."""

    engine: Engine
    last_commit_ms: int | None
    held: list[Reading]  # of an earlier boot whose clock was never confirmed
    last_seq: dict[str, int]
    known: frozenset[str]  # meters that were configured before
    restarted: dict[str, dict[str, str]]


def recall(store: Path, meters: Mapping[str, Metered], energy_interval_ms: int) -> Past:
    """The engine from its snapshot and every reading after it, in the order of their seq.

    What this replay closes was committed together with the readings that closed it, so it is not written again.
    It runs under the interval of that time; another one configured now applies from here on.
    """
    reader = LedgerReader(store)
    try:
        devices = [m.device for m in meters.values()]
        restarted: dict[str, dict[str, str]] = {}
        engine, after, interval_ms = Engine(devices, energy_interval_ms), 0, energy_interval_ms
        snapshot = reader.snapshot()
        if snapshot is not None:
            try:
                interval_ms = snapshot_interval_ms(snapshot.data)
                engine, after = Engine.restore(snapshot.data, devices, interval_ms), snapshot.through_seq
                restarted = dict.fromkeys(engine.restarted, _CHANGED)
            except ValueError as error:
                log.error("the engine's snapshot cannot be used, all readings are replayed: %s", error)
                restarted = dict.fromkeys(meters, _DAMAGED)
        converters = {digest: Converter(layout) for digest, layout in reader.layouts().items()}
        while page := reader.raw_readings(after, PAGE):
            engine.ingest(_samples([reading for _, reading in page], meters, converters))
            after = page[-1][0]
        if interval_ms != energy_interval_ms:
            engine = Engine.restore(engine.snapshot(), devices, energy_interval_ms)
        last = reader.last_commit()
        return Past(
            engine=engine,
            last_commit_ms=last[0] if last else None,
            held=reader.held(),
            last_seq={stream: reader.last_seq(stream) for stream in STREAMS},
            known=frozenset(reader.in_force("meter")),
            restarted=restarted,
        )
    finally:
        reader.close()


def _samples(
    readings: Sequence[Reading], meters: Mapping[str, Metered], converters: Mapping[str, Converter]
) -> list[Sample]:
    """Without late readings, and without those of registers that mean something else today."""
    return [
        sample_of(r, converters[r.layout].engine_values(r.columns))
        for r in readings
        if not r.flags & Quality.LATE_BACKFILLED
        and r.meter in meters
        and meters[r.meter].point.layout.digest == r.layout
    ]


def factor_refs(settings: Settings) -> tuple[FactorRef, ...]:
    """The configured factor under each configured accounting profile."""
    factor = load_factor(settings.carbon.factor)
    return tuple(FactorRef(profile, factor) for profile in settings.carbon.profiles)


def attributions(settings: Settings, factors: tuple[FactorRef, ...]) -> dict[str, Attribution]:
    return {m.id: Attribution(m.role, m.parent, factors) for m in settings.meter}


def new_epoch(settings: Settings, epoch: int, last_seq: Mapping[str, int], now_ms: int) -> int | None:
    """A new epoch if more was delivered than this ledger knows of: it was restored from an older copy."""
    try:
        cursors = read_cursors(settings.store.uplink_dir, epoch)
    except StoreError as error:
        log.error("the cursors of uplink cannot be read, metering goes on without them: %s", error)
        return None
    for stream, cursor in cursors.items():
        if cursor.closed or cursor.seq > last_seq.get(stream, 0):
            return max(now_ms, epoch + 1)
    return None


def first_events(
    settings: Settings, past: Past, now_ms: int, rejected: str, *, epoch: int | None, box_ticks: int
) -> list[Event]:
    """Boot, the gap that the box left (if it cost a tick), a new history, and which configuration is in force."""
    last_commit_ms = past.last_commit_ms
    events = [Event(now_ms, "boot", data={"config": settings.digest})]
    events += [Event(now_ms, "recount", meter=meter, data={"reason": why}) for meter, why in past.restarted.items()]
    if epoch is not None:
        events.append(Event(now_ms, "epoch", data={"reason": _OLDER, "epoch": epoch}))
    if last_commit_ms is None:
        events.append(Event(now_ms, "epoch", data={"reason": _CREATED}))
    elif box_ticks:
        seconds = (now_ms - last_commit_ms) // 1000
        events.append(Event(last_commit_ms, "box_gap", until_ms=now_ms, data={"seconds": seconds}))
    if rejected:
        events.append(Event(now_ms, "config_rejected", data={"reason": rejected}))
    else:
        events.append(Event(now_ms, "config_applied", data={"digest": settings.digest}))
    return events


def opening(
    settings: Settings,
    meters: Mapping[str, Metered],
    factors: Sequence[FactorRef],
    clock: Clock,
    boot: Boot,
    events: Sequence[Event],
    epoch: int | None,
) -> Commit:
    """The commit before all readings of this run: boot, clock row, layouts, and the texts in force."""
    now_ms, mono_ms = clock.now_ms(), clock.mono_ms()
    texts = profile_texts()
    return Commit(
        t_ms=now_ms,
        boot_id=boot.boot_id,
        boot=boot,
        clock=[ClockRow(boot.boot_id, mono_ms, now_ms - mono_ms, now_ms, "start")],
        layouts=list({m.point.layout.digest: m.point.layout for m in meters.values()}.values()),
        in_force=[
            InForce("site", settings.site.id, settings.site.model_dump_json()),
            InForce("config", "site.toml", settings.text),
            *(InForce("profile", name, texts[name]) for name in sorted({m.profile.id for m in meters.values()})),
            *(InForce("meter", m.meter.id, m.meter.model_dump_json()) for m in meters.values()),
            *(InForce("factor", ref.factor.id, ref.factor.text) for ref in factors),
        ],
        events=events,
        new_epoch=epoch,
    )
