"""Kernels, part 2: may this reading become energy? Each register reading is judged by physics.

A step of a counter that rated power × time does not allow is held back, and with it the intervals that it touches.
Three further readings that agree with the odd one decide: a roll-over (energy by the modulus), a reset or
replacement (the register fell) or a jump (it rose): no energy across the step, counting goes on from the odd
reading. A reading that fits the last accepted one instead makes it a glitch: as if it had not been. Where both
are possible the smaller energy wins, since a bad step must never become energy.
"""

from __future__ import annotations

from engine.steps import (
    ADJUSTED,
    GLITCH,
    JUMP,
    LIVE,
    MISSING_COMM,
    NET,
    NEVER,
    OVERLAP,
    RESET,
    ROLLED,
    ROLLOVER,
    UNKNOWN,
    extend,
    note,
)

PER_MS = 3_000_000  # mW / PER_MS = mWh per ms with a margin of 1.2
SLACK_MWH = 10_000
JITTER_LSB, SLACK_LSB = 2, 4
REFRESH_MS = 60_000  # a register that moves in bursts may show at once what it held back so long
GUESS_POLLS, GUESS_MS = 10, 60_000  # over a longer step a modulus that is not known is not guessed
TRIES_MIN = 16  # readings of a counter that never settles before its baseline is moved by force
HALF_MWH = 7_200_000  # 1 mWh in units of half a mW·ms, the unit of a trapezoid


def limit_mwh(dev, c, t0, t):
    """The most energy that physics allows between t0 and t [mWh]."""
    dt = max(t - t0 + c["spare_ms"], min(t - c["changed"], REFRESH_MS))
    slack = SLACK_MWH + SLACK_LSB * c["resolution"]
    return dev["basis"] // PER_MS * dt + dev["basis"] % PER_MS * dt // PER_MS + slack


def movement(dev, c, signed, before, v, t0, t):
    """The energy of a believable step from `before` to `v`, else UNKNOWN. Jitter is a step of zero."""
    delta = v - before
    if abs(delta) <= limit_mwh(dev, c, t0, t) and (delta >= 0 or signed):
        return delta
    if delta < 0 and -delta <= JITTER_LSB * c["resolution"]:
        return 0
    return UNKNOWN


def wraps(modulus, before, after, limit, nearness):
    """Is before -> after a roll-over at `modulus`: from its top 1/nearness to its bottom, by possible energy?"""
    near = modulus // nearness
    return before < modulus and modulus - before <= near and after <= near and after - before + modulus <= limit


def modulus_of(dev, c, before, after, t):
    """The modulus at which the register rolled over between its last accepted reading and `t`, 0 if it did not."""
    limit = limit_mwh(dev, c, c["t"], t)
    if c["modulus"] > 0:
        return c["modulus"] if wraps(c["modulus"], before, after, limit, 4) else 0
    if t - c["t"] + c["spare_ms"] > max(GUESS_POLLS * dev["poll"], GUESS_MS):
        return 0
    for bits in (16, 32):
        if c["resolution"] < 1 << (62 - bits) and wraps(c["resolution"] << bits, before, after, limit, 16):
            return c["resolution"] << bits
    modulus = c["resolution"] * 10_000
    for _ in range(12):
        if modulus > 10**17:
            break
        if wraps(modulus, before, after, limit, 16):
            return modulus
        modulus *= 10
    return 0


def begin(dev, c, book, t, raw):
    """Counting (again) begins at this reading; False if its interval is closed already."""
    if dev["next_start"] == NEVER:
        dev["next_start"] = t - t % book["length"]
    if t < dev["next_start"]:
        return False
    c["state"], c["base_t"], c["base_cum"], c["edge"] = LIVE, t, c["cum"], c["cum"]
    c["t"], c["raw"], c["changed"], c["heard"], c["last"], c["n"] = t, raw, t, t, raw, 0
    c["spare_ms"], c["overlap_t"] = 0, NEVER
    return True


def advance(dev, counters, d, k, pool, book, t, delta, flags):
    """`extend` by a register movement; a net register feeds import or export."""
    c = counters[4 * d + k]
    if c["spare_ms"] > 0:
        c["spare_ms"], c["overlap_t"] = 0, t
    if dev["mode"] == NET and k == 0:
        extend(dev, counters[4 * d + 1], 1, pool, book, t, max(-delta, 0), flags)
        extend(dev, c, 0, pool, book, t, max(delta, 0), flags)
    else:
        extend(dev, c, k, pool, book, t, delta, flags)
    if delta != 0:
        c["changed"] = t


def decide(dev, counters, d, k, pool, book, notes):
    """The pending readings of a counter agree with each other: say what happened and count from the first."""
    c = counters[4 * d + k]
    before, after, t, n = c["raw"], c["cand_v"][0], c["cand_t"][0], c["n"]
    kind, energy, flag = (RESET if after < before else JUMP), 0, ADJUSTED
    if kind == RESET and (dev["mode"] != NET or k != 0):
        modulus = modulus_of(dev, c, before, after, t)
        if modulus > 0:
            kind, energy, flag = ROLLOVER, after - before + modulus, ROLLED
    note(notes, book, d, t, kind, k, before, after, energy, c["cand_t"][n - 1])
    advance(dev, counters, d, k, pool, book, t, energy, c["cand_f"][0] | flag)
    for i in range(1, n):
        delta = c["cand_v"][i] - c["cand_v"][i - 1]
        advance(dev, counters, d, k, pool, book, c["cand_t"][i], delta, c["cand_f"][i])
    c["raw"], c["n"] = c["cand_v"][n - 1], 0


def judge(dev, counters, d, k, pool, book, notes, t, v, flags):
    """One register reading: 1 = taken (accepted or pending), 0 = a duplicate, -1 = late."""
    c = counters[4 * d + k]
    signed = dev["mode"] == NET and k == 0
    if t <= c["heard"]:
        return 0 if t == c["heard"] and v == c["last"] else -1
    if c["state"] != LIVE:
        if not begin(dev, c, book, t, v):
            return -1
        if signed:
            begin(dev, counters[4 * d + 1], book, t, v)
        return 1
    c["last"] = v
    if c["spare_ms"] > 0:
        flags |= OVERLAP
    n = c["n"]
    delta = movement(dev, c, signed, c["raw"], v, c["t"], t)
    if n == 0 and delta != UNKNOWN:
        advance(dev, counters, d, k, pool, book, t, delta, flags)
        c["raw"] += delta
        return 1
    c["heard"] = t
    onward = UNKNOWN
    if n == 0:
        c["tries"], c["doubt_t"] = 0, t
    else:
        onward = movement(dev, c, signed, c["cand_v"][n - 1], v, c["cand_t"][n - 1], t)
        rising = c["cand_v"][0] > c["raw"] or signed
        if delta != UNKNOWN and not (rising and onward != UNKNOWN):
            note(notes, book, d, c["cand_t"][0], GLITCH, k, c["raw"], c["cand_v"][0], delta, t)
            advance(dev, counters, d, k, pool, book, t, delta, flags)
            c["raw"] += delta
            c["n"] = 0
            return 1
    c["tries"] += 1
    if onward == UNKNOWN:
        n, onward = 0, v
    else:
        onward += c["cand_v"][n - 1]
    c["cand_t"][n], c["cand_v"][n], c["cand_f"][n], c["n"] = t, onward, flags, n + 1
    if n + 1 == 4 or (c["tries"] >= TRIES_MIN and t - c["doubt_t"] > dev["patience"]):
        decide(dev, counters, d, k, pool, book, notes)
    return 1


def integrate(dev, counters, d, k, pool, book, t, power, flags):
    """Power as energy by trapezoids, import and export apart; results as `judge`. k = 0 active, 2 reactive.

    Over a silence of more than 2.5 polls, or a power above 1.2 × rated, nothing is assumed: no energy.
    """
    c = counters[4 * d + k]
    if dev["rated"] > 0 and abs(power) > dev["rated"] * 6 // 5:
        return 0
    if t <= c["heard"]:
        return 0 if t == c["heard"] and power == c["last"] else -1
    if c["state"] != LIVE:
        if not begin(dev, c, book, t, power):
            return -1
        begin(dev, counters[4 * d + k + 1], book, t, power)
        return 1
    dt = t - c["t"]
    gap = 2 * dt > 5 * dev["poll"]
    for side in range(2):
        o = counters[4 * d + k + side]
        energy, sign = 0, 1 - 2 * side
        if not gap:
            both = max(sign * c["raw"], 0) + max(sign * power, 0)
            rest = both % HALF_MWH * dt + o["rest"]
            energy, o["rest"] = both // HALF_MWH * dt + rest // HALF_MWH, rest % HALF_MWH
        extend(dev, o, k + side, pool, book, t, energy, flags | (MISSING_COMM if gap else 0))
    c["raw"], c["last"] = power, power
    return 1
