"""Kernels, part 1: accepted steps of a counter and the open intervals that they fill.

Plain functions that `jit.py` compiles, or runs as they are. A counter is a line of accepted readings (t, counted
energy); a step joins two of them. Between two readings the line is the floor of a straight one, and an interval's
energy is the difference of the line at its borders: so parts always add up to the register difference.

Integers only: energy in mWh or mvarh, time in ms UTC, power in mW or mvar. Helpers take records and scalars.
"""

from __future__ import annotations

UNKNOWN = -(2**63)  # a value that is not there
NEVER = -(2**62)  # a time that has not been
NET, INTEGRATE = 1, 2  # modes; 0 = counters
LIVE, LOST = 1, 2  # states of a counter; 0 = not seen yet
ROLLOVER, RESET, JUMP, GLITCH, GONE, GAP, LATE = 1, 2, 3, 4, 5, 6, 7  # kinds of note
MISSING_COMM, QUESTIONABLE, EST_LINEAR, ADJUSTED, DERIVED, ROLLED = 1 << 0, 1 << 6, 1 << 8, 1 << 9, 1 << 12, 1 << 13
OVERLAP = EST_LINEAR | QUESTIONABLE  # of a step over a time that the clock showed twice
PRODUCT_MAX = 3_000_000_000  # two factors below this multiply within int64


def share(delta, part, whole):
    """floor(delta · part / whole) for 0 <= part <= whole, without leaving int64."""
    if whole <= PRODUCT_MAX:
        return delta // whole * part + delta % whole * part // whole
    step, quotient, rest = delta % whole, 0, 0
    for shift in range(61, -1, -1):
        quotient *= 2
        rest *= 2
        if (part >> shift) & 1:
            rest += step
        quotient += rest // whole
        rest %= whole
    return delta // whole * part + quotient


def note(notes, book, d, t, kind, k, before, after, energy, until):
    n = notes[book["notes_n"]]
    book["notes_n"] += 1
    n["device"], n["t"], n["kind"], n["counter"] = d, t, kind, k
    n["before"], n["after"], n["energy"], n["until"] = before, after, energy, until


def locate(dev, pool, book, start):
    """Index of the open interval that begins at `start`; made and put in order if there is none."""
    previous = dev["tail"]
    if previous < 0 or pool[previous]["start"] > start:
        previous, i = -1, dev["head"]
        while i >= 0 and pool[i]["start"] <= start:
            previous, i = i, pool[i]["next"]
    if previous >= 0 and pool[previous]["start"] == start:
        return previous
    i = book["free"]
    r = pool[i]
    book["free"] = r["next"]
    book["free_n"] -= 1
    r["start"], r["valid"], r["flags"], r["import_flags"] = start, 0, 0, 0
    for bit in range(18):
        r["part_n"][bit], r["part_mwh"][bit] = 0, 0
    for k in range(4):
        r["t1"][k] = NEVER
    if previous < 0:
        r["next"], dev["head"] = dev["head"], i
    else:
        r["next"], pool[previous]["next"] = pool[previous]["next"], i
    if r["next"] < 0:
        dev["tail"] = i
    dev["open_n"] += 1
    return i


def release(dev, pool, book):
    """Give the first open interval of a device back."""
    i = dev["head"]
    dev["head"], pool[i]["next"], book["free"] = pool[i]["next"], book["free"], i
    if dev["head"] < 0:
        dev["tail"] = -1
    dev["open_n"] -= 1
    book["free_n"] += 1


def mark(r, k, flags, energy):
    """A step with these flags brings `energy` to an interval; counter 0 is the import."""
    r["flags"] |= flags
    if k == 0 and flags != 0:
        for bit in range(18):
            if (flags >> bit) & 1:
                r["part_mwh"][bit] += energy


def extend(dev, c, k, pool, book, t, energy, flags):
    """An accepted step of counter k to `t`."""
    start = t - t % book["length"]
    r = pool[locate(dev, pool, book, start)]
    if c["t"] < start:
        long = 2 * (t - c["t"]) > 5 * dev["poll"]
        r["t0"][k], r["c0"][k], r["t1"][k], r["c1"][k] = c["t"], c["cum"], t, c["cum"] + energy
        r["step_flags"][k] = flags | (EST_LINEAR if long else 0)
    else:
        mark(r, k, flags, energy)
        if k == 0:
            r["import_flags"] |= flags
    c["t"], c["heard"] = t, t
    c["cum"] += energy
