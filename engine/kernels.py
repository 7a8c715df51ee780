"""Kernels, part 3: one batch of samples in, closed interval rows and notes of continuity out.

`ingest` is the one entry. An interval closes when every counter in use has an accepted reading at or after its
end; it is emitted exactly once, in time order per device. A counter that stays behind the newest one for longer
than the device's patience is given up (its intervals go without it) and begins anew when it comes back; the
import is waited for, up to OPEN_MAX open intervals.
"""

from __future__ import annotations

from engine.continuity import integrate, judge
from engine.steps import (
    ADJUSTED,
    DERIVED,
    EST_LINEAR,
    GAP,
    GONE,
    INTEGRATE,
    LATE,
    LIVE,
    LOST,
    MISSING_COMM,
    NET,
    NEVER,
    OVERLAP,
    UNKNOWN,
    extend,
    locate,
    mark,
    note,
    release,
    share,
)

UNUSABLE = 0b110111  # reading.COUNTER_UNUSABLE
DONE, ROWS_FULL, POOL_LOW = 0, 1, 2  # what `ingest` returns
QUARTER_MS = 900_000
DEFAULT_MW = 5_000_000_000  # 5 MW, for a meter without rated power that shows no larger power itself
GAP_MIN_MS = 60_000
OPEN_MAX = 4096  # open intervals of a device before what holds them open is given up
STEP_MAX_MS = 400 * 86_400_000  # beyond this a step is a wrong clock: counting starts anew
POOL_RESERVE = 32  # open intervals that one sample may need


def level(c, k, pool, head, border):
    """Counted energy of counter k at a border of the interval grid that is not closed yet [mWh]."""
    if border <= c["base_t"]:
        return c["base_cum"]
    i = head
    while i >= 0:
        r = pool[i]
        if r["start"] >= border and r["t1"][k] != NEVER:
            return r["c0"][k] + share(r["c1"][k] - r["c0"][k], border - r["t0"][k], r["t1"][k] - r["t0"][k])
        i = r["next"]
    return c["cum"]


def entry(k, pool, head, end):
    """Index of the open interval whose step of counter k crosses the border `end`."""
    i = head
    while (pool[i]["start"] < end or pool[i]["t1"][k] == NEVER) and pool[i]["next"] >= 0:
        i = pool[i]["next"]
    return i


def ready(dev, counters, d, book, notes, end):
    """May the interval that ends at `end` close? Gives up counters that stayed away too long."""
    newest = NEVER
    for k in range(4):
        c = counters[4 * d + k]
        if c["state"] == LIVE and c["t"] > newest:
            newest = c["t"]
    if newest < end:
        return False
    for k in range(4):
        c = counters[4 * d + k]
        if c["state"] == LIVE and c["base_t"] < end and c["t"] < end:
            if dev["open_n"] <= OPEN_MAX and (k == 0 or newest - c["t"] <= dev["patience"]):
                return False
            note(notes, book, d, c["t"], GONE, k, c["raw"], UNKNOWN, 0, newest)
            c["state"], c["n"] = LOST, 0
    return True


def emit(dev, counters, d, pool, book, quarters, rows):
    """Close the next interval of a device."""
    start, head = dev["next_start"], dev["head"]
    end = start + book["length"]
    row = rows[book["rows_n"]]
    book["rows_n"] += 1
    own = head >= 0 and pool[head]["start"] == start
    row["device"], row["start"], row["demand"] = d, start, UNKNOWN
    row["due"] = (end - 1) // dev["poll"] - (start - 1) // dev["poll"]
    row["valid"] = pool[head]["valid"] if own else 0
    row["flags"] = pool[head]["flags"] if own else 0
    for bit in range(18):
        row["part_n"][bit] = pool[head]["part_n"][bit] if own else 0
        row["part_mwh"][bit] = pool[head]["part_mwh"][bit] if own else 0
    if start % QUARTER_MS == 0:
        dev["quarter_edge"], dev["quarter_whole"] = counters[4 * d]["edge"], 1
    doubt = pool[head]["import_flags"] if own else 0
    if counters[4 * d]["state"] != LIVE or counters[4 * d]["base_t"] > start:
        dev["quarter_whole"] = 0
    for k in range(4):
        c = counters[4 * d + k]
        row["energy"][k] = UNKNOWN
        if c["state"] != LIVE or c["base_t"] >= end:
            continue
        edge = c["edge"]
        if own and pool[head]["t1"][k] > start:
            mark(row, k, pool[head]["step_flags"][k], pool[head]["c1"][k] - edge)
            doubt |= pool[head]["step_flags"][k] if k == 0 else 0
        r = pool[entry(k, pool, head, end)]
        flags = r["step_flags"][k]
        if r["t0"][k] < start and r["t1"][k] > end:
            flags |= EST_LINEAR
        c["edge"] = r["c0"][k] + share(r["c1"][k] - r["c0"][k], end - r["t0"][k], r["t1"][k] - r["t0"][k])
        mark(row, k, flags, c["edge"] - max(r["c0"][k], edge))
        doubt |= flags if k == 0 else 0
        row["energy"][k] = c["edge"] - edge
    if doubt & (ADJUSTED | MISSING_COMM) or doubt & OVERLAP == OVERLAP:
        dev["quarter_whole"] = 0
    if end % QUARTER_MS == 0:
        if dev["quarter_whole"] == 1:
            row["demand"] = (counters[4 * d]["edge"] - dev["quarter_edge"]) * 4
        q = quarters[d, end // QUARTER_MS % quarters.shape[1]]
        q["t"] = end
        for k in range(4):
            q["cum"][k] = counters[4 * d + k]["edge"]
    if own:
        release(dev, pool, book)
    dev["next_start"] = end


def close(dev, counters, d, pool, book, quarters, rows, notes):
    """Emit what nothing holds open any more; False if `rows` is full before that is done."""
    while dev["next_start"] != NEVER and ready(dev, counters, d, book, notes, dev["next_start"] + book["length"]):
        if book["rows_n"] == rows.shape[0]:
            return False
        emit(dev, counters, d, pool, book, quarters, rows)
    if dev["restart"] == 1:
        while dev["head"] >= 0:
            release(dev, pool, book)
        for k in range(4):
            counters[4 * d + k]["state"] = LOST if counters[4 * d + k]["state"] == LIVE else 0
        dev["next_start"], dev["restart"] = NEVER, 0
    return True


def abandon(dev, counters, d, pool, book):
    """The next sample is absurdly far away: end what is open with what was counted, then count anew."""
    newest = NEVER
    for k in range(4):
        newest = max(newest, counters[4 * d + k]["t"] if counters[4 * d + k]["state"] == LIVE else NEVER)
    end = newest - newest % book["length"] + book["length"]
    for k in range(4):
        c = counters[4 * d + k]
        if c["state"] == LIVE:
            extend(dev, c, k, pool, book, end, 0, ADJUSTED)
            c["n"] = 0
    dev["restart"] = 1 if newest != NEVER else 0


def take(s, dev, counters, d, pool, book, notes):
    """Judge one sample and book its flags, its poll tick and the silence before it."""
    t, flags, power = s["t"], s["flags"], s["power"]
    usable = flags & UNUSABLE == 0
    taken, late, primary = False, False, False
    if dev["mode"] != 0:
        flags |= DERIVED
    if dev["rated"] == 0:
        shown = min(abs(power), abs(dev["power"])) if power != UNKNOWN and dev["power"] != UNKNOWN else 0
        dev["basis"] = max(DEFAULT_MW, 2 * shown)
    for k in range(4):
        value = s["value"][k]
        if dev["mode"] == INTEGRATE:
            value = UNKNOWN if k % 2 else (power if k == 0 else s["reactive"])
        if not usable or value == UNKNOWN or counters[4 * d + k]["tracked"] == 0 or (dev["mode"] == NET and k == 1):
            continue
        if dev["mode"] == INTEGRATE:
            verdict = integrate(dev, counters, d, k, pool, book, t, value, flags)
        else:
            verdict = judge(dev, counters, d, k, pool, book, notes, t, value, flags)
        taken = taken or verdict == 1
        late = late or verdict == -1
        primary = primary or (k == 0 and verdict == 1)
    if late:
        note(notes, book, d, t, LATE, 0, 0, 0, 0, t)
    if primary:
        if dev["heard"] != NEVER and 2 * (t - dev["heard"]) > 5 * dev["poll"] and t - dev["heard"] >= GAP_MIN_MS:
            note(notes, book, d, dev["heard"], GAP, 0, 0, 0, 0, t)
        dev["heard"] = t
        tick = t - t % dev["poll"]
        start = tick - tick % book["length"]
        if tick != dev["tick"] and start >= dev["next_start"]:
            pool[locate(dev, pool, book, start)]["valid"] += 1
        dev["tick"] = tick
    if dev["next_start"] == NEVER or not (taken or (t > dev["seen"] and not late)):
        return
    start = t - t % book["length"]
    if start >= dev["next_start"]:
        r = pool[locate(dev, pool, book, start)]
        r["flags"] |= flags
        if flags != 0:
            for bit in range(18):
                r["part_n"][bit] += (flags >> bit) & 1
    dev["seen"] = max(dev["seen"], t)
    if usable and power != UNKNOWN and t >= dev["power_t"]:
        dev["power"], dev["power_t"] = power, t


def counted(d, k, dev, counters, pool, quarters, since):
    """Energy of counter k since a border of the quarter-hour grid, UNKNOWN if it is not known (any more)."""
    c = counters[4 * d + k]
    if c["state"] == 0:
        return UNKNOWN
    if since >= dev["next_start"]:
        return c["cum"] - level(c, k, pool, dev["head"], since)
    slot = quarters[d, since // QUARTER_MS % quarters.shape[1]]
    if slot["t"] == since:
        return c["cum"] - slot["cum"][k]
    for i in range(quarters.shape[1]):
        if quarters[d, i]["t"] == NEVER:
            return c["cum"]  # nothing was counted so long ago
    return UNKNOWN


def figures(d, devices, counters, pool, quarters, since, out):
    """The running figures of a device since a border of the quarter-hour grid."""
    dev, c = devices[d], counters[4 * d]
    for k in range(4):
        out["energy"][k] = counted(d, k, dev, counters, pool, quarters, since)
    out["demand"], out["power"] = UNKNOWN, dev["power"]
    block = c["t"] - c["t"] % QUARTER_MS
    spent = c["t"] - max(block, c["base_t"])
    if c["state"] == LIVE and spent > 0 and c["overlap_t"] < block:
        energy = counted(d, 0, dev, counters, pool, quarters, block)
        out["demand"] = energy // spent * 3_600_000 + energy % spent * 3_600_000 // spent


def ingest(samples, count, devices, counters, pool, book, quarters, rows, notes):
    """Take samples from book["cursor"] on. Returns DONE, or what to give before calling again."""
    while book["cursor"] < count:
        s = samples[book["cursor"]]
        d = s["device"]
        dev = devices[d]
        if book["free_n"] < POOL_RESERVE:
            return POOL_LOW
        if book["phase"] == 0:
            if dev["seen"] != NEVER and s["t"] - dev["seen"] > STEP_MAX_MS:
                abandon(dev, counters, d, pool, book)
            book["phase"] = 1
        if book["phase"] == 1:
            if dev["restart"] == 1 and not close(dev, counters, d, pool, book, quarters, rows, notes):
                return ROWS_FULL
            take(s, dev, counters, d, pool, book, notes)
            book["phase"] = 2
        if not close(dev, counters, d, pool, book, quarters, rows, notes):
            return ROWS_FULL
        book["phase"] = 0
        book["cursor"] += 1
    return DONE
