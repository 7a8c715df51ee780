"""The answer guard: exactly the frame that was asked for, or nothing. 100,000 mutated answers, none accepted."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.guard import Request, State, Verdict, check_rtu, check_tcp, crc16

ASKED = Request(5, 4, 72, 2)
DATA = bytes.fromhex("46f12345")
TOTAL = 100_000 * int(os.environ.get("SOAK", "1"))  # `make soak` multiplies
CONTROL_EVERY = 8  # of each framing


def tcp(transaction: int, body: bytes, *, protocol: int = 0, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return transaction.to_bytes(2, "big") + protocol.to_bytes(2, "big") + size.to_bytes(2, "big") + body


GOOD_TCP = tcp(7, bytes((5, 4, 4)) + DATA)


@pytest.fixture
def good_rtu(frames: Any) -> bytes:
    return bytes(frames.rtu(5, 4, 4, DATA))


def test_the_right_answer_is_accepted(good_rtu: bytes) -> None:
    assert check_tcp(ASKED, 7, GOOD_TCP) == Verdict(State.ACCEPTED, DATA)
    assert check_rtu(ASKED, good_rtu) == Verdict(State.ACCEPTED, DATA)


def test_every_part_of_the_right_answer_is_waited_for(good_rtu: bytes) -> None:
    for size in range(len(GOOD_TCP)):
        assert check_tcp(ASKED, 7, GOOD_TCP[:size]).state is State.INCOMPLETE
    for size in range(len(good_rtu)):
        assert check_rtu(ASKED, good_rtu[:size]).state is State.INCOMPLETE


def test_an_exact_exception_is_recognised(frames: Any) -> None:
    assert check_tcp(ASKED, 7, tcp(7, bytes((5, 0x84, 2)))) == Verdict(State.EXCEPTION, code=2)
    assert check_rtu(ASKED, frames.rtu(5, 0x84, 6)) == Verdict(State.EXCEPTION, code=6)


@pytest.mark.parametrize(
    ("fault", "raw"),
    [
        ("transaction", tcp(6, bytes((5, 4, 4)) + DATA)),
        ("transaction", tcp(0, bytes((5, 4, 4)) + DATA)),
        ("protocol", tcp(7, bytes((5, 4, 4)) + DATA, protocol=1)),
        ("length", tcp(7, bytes((5, 4, 4)) + DATA, length=8)),
        ("unit", tcp(7, bytes((6, 4, 4)) + DATA)),
        ("function", tcp(7, bytes((5, 3, 4)) + DATA)),
        ("byte count", tcp(7, bytes((5, 4, 2)) + DATA)),
        ("extra", GOOD_TCP + b"\0"),
        ("extra", GOOD_TCP + GOOD_TCP),
        ("transaction", b"\xff" + GOOD_TCP),
        ("length", tcp(7, bytes((5, 4, 8)) + DATA + DATA)),
        ("function", tcp(7, bytes((5, 0x83, 2)))),
        ("exception code", tcp(7, bytes((5, 0x84, 0)))),
        ("extra", tcp(7, bytes((5, 0x84, 2))) + b"\0"),
    ],
)
def test_tcp_names_what_is_wrong(fault: str, raw: bytes) -> None:
    verdict = check_tcp(ASKED, 7, raw)
    assert (verdict.state, verdict.fault, verdict.payload) == (State.REJECTED, fault, b"")
    assert fault in verdict.reason


@pytest.mark.parametrize(
    ("fault", "make"),
    [
        ("unit", lambda rtu: rtu(6, 4, 4, DATA)),
        ("function", lambda rtu: rtu(5, 3, 4, DATA)),
        ("function", lambda rtu: rtu(5, 0x83, 2)),
        ("byte count", lambda rtu: rtu(5, 4, 8, DATA, DATA)),
        ("extra", lambda rtu: rtu(5, 4, 4, DATA) + b"\0"),
        ("unit", lambda rtu: b"\0" + rtu(5, 4, 4, DATA)),
        ("crc", lambda rtu: rtu(5, 4, 4, DATA)[:-1] + b"\0"),
        ("crc", lambda rtu: rtu(5, 4, 4, DATA, b"\0")[:-1]),
        ("crc", lambda rtu: rtu(5, 0x84, 2)[:-2] + b"\x12\x34"),
        ("extra", lambda rtu: rtu(5, 0x84, 2) + b"\0"),
    ],
)
def test_rtu_names_what_is_wrong(fault: str, make: Callable[..., bytes], frames: Any) -> None:
    verdict = check_rtu(ASKED, make(frames.rtu))
    assert (verdict.state, verdict.fault, verdict.payload) == (State.REJECTED, fault, b"")


def test_the_crc_is_that_of_the_specification(frames: Any) -> None:
    assert crc16(bytes.fromhex("010402FFFF")) == bytes.fromhex("B880")
    rng = random.Random(3)
    for size in range(64):
        data = rng.randbytes(size)
        assert crc16(data) == frames.crc(data)


def mutants(rng: random.Random, crc: Callable[[bytes], bytes]) -> Iterator[tuple[str, str, Request, int, bytes]]:
    """(framing, class, request, transaction, bytes); class "control" is the right answer."""
    number = 0
    while True:
        number += 1
        framing = "tcp" if number % 2 else "rtu"
        asked = Request(rng.randint(1, 247), rng.choice((3, 4)), rng.randint(0, 60000), rng.randint(1, 24))
        tid, data = rng.randint(1, 65535), rng.randbytes(2 * asked.count)

        def frame(unit: int, function: int, *rest: int | bytes, tid: int = tid, framing: str = framing) -> bytes:
            body = bytes((unit, function)) + b"".join(r if isinstance(r, bytes) else bytes((r,)) for r in rest)
            return tcp(tid, body) if framing == "tcp" else body + crc(body)

        good = frame(asked.unit, asked.function, len(data), data)
        if number % (2 * CONTROL_EVERY) < 2:
            yield framing, "control", asked, tid, good
            continue
        yield framing, *_mutant(rng, framing, asked, tid, data, good, frame)


def _other(rng: random.Random, value: int, low: int, high: int) -> int:
    candidates = (rng.randint(low, high), value ^ 1, value + 1, low, high)
    return rng.choice([n for n in candidates if n != value and low <= n <= high])


def _mutant(
    rng: random.Random, framing: str, asked: Request, tid: int, data: bytes, good: bytes, frame: Callable[..., bytes]
) -> tuple[str, Request, int, bytes]:
    unit, function, size = asked.unit, asked.function, len(data)
    kinds = ["unit", "function", "length", "byte count", "exception", "order", "late", "split", "merged"]
    kind = rng.choice([*kinds, *(("transaction", "protocol") if framing == "tcp" else ("burst",))])
    if kind == "unit":
        raw = frame(_other(rng, unit, 0, 255), function, size, data)
    elif kind == "function":
        raw = frame(unit, _other(rng, function, 1, 127), size, data)
    elif kind == "length":  # another number of registers, all else consistent; or a wrong length field
        more = _other(rng, asked.count, 1, 60)
        raw = frame(unit, function, 2 * more, rng.randbytes(2 * more))
        if framing == "tcp" and rng.random() < 0.5:
            raw = good[:4] + _other(rng, 3 + size, 0, 300).to_bytes(2, "big") + good[6:]
    elif kind == "byte count":
        raw = frame(unit, function, _other(rng, size, 0, 255), data)
    elif kind == "transaction":
        raw = frame(unit, function, size, data, tid=rng.choice((0, _other(rng, tid, 0, 65535))))
    elif kind == "protocol":
        raw = good[:2] + rng.randint(1, 65535).to_bytes(2, "big") + good[4:]
    elif kind == "exception":  # an exception that is not exactly one to this request
        code = rng.randint(1, 11)
        raw = rng.choice((
            frame(_other(rng, unit, 0, 255), function | 0x80, code), frame(unit, (7 - function) | 0x80, code),
            frame(unit, function | 0x80, code, 0), frame(unit, function | 0x80, 0),
            frame(unit, function | 0x80, code) + b"\0", frame(unit, function | 0x80, code)[:-1],
        ))  # fmt: skip
    elif kind == "order":  # bytes or halves exchanged on the way
        cut = rng.randint(1, len(good) - 1)
        raw = good[cut:] + good[:cut]
    elif kind == "late":  # the answer to an earlier request
        earlier = rng.randint(1, 24)
        if framing == "tcp":
            raw = frame(unit, function, size, data, tid=(tid - 2) % 65535 + 1)
        else:
            raw = frame(_other(rng, unit, 1, 247), function, 2 * earlier, rng.randbytes(2 * earlier))
        raw = rng.choice((raw, raw + good))
    elif kind == "split":
        raw = good[: rng.randint(0, len(good) - 1)]
    elif kind == "merged":
        junk = rng.randbytes(rng.randint(1, 8))
        raw = rng.choice((good + good, good + junk, junk + good, good + good[: rng.randint(1, len(good) - 1)]))
    else:  # up to 16 neighbouring bits, in what the CRC covers or in the CRC itself
        flipped = rng.randint(1, 0xFFFF) << rng.randint(0, 8 * len(good) - 16)
        raw = (int.from_bytes(good, "big") ^ flipped).to_bytes(len(good), "big")
    return (kind, asked, tid, raw) if raw != good else ("control", asked, tid, good)


def test_of_100000_mutated_answers_none_is_accepted(frames: Any, capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    mutated = 0
    for framing, kind, asked, tid, raw in mutants(random.Random(20261121), frames.crc):
        verdict = check_tcp(asked, tid, raw) if framing == "tcp" else check_rtu(asked, raw)
        if kind == "control":
            assert verdict.state is State.ACCEPTED, (framing, asked, raw.hex())
            assert verdict.payload == (raw[9:] if framing == "tcp" else raw[3:-2])
        else:
            assert verdict.state in (State.REJECTED, State.INCOMPLETE), (framing, kind, asked, raw.hex())
            assert verdict.payload == b""
        counts[framing, kind] += 1
        mutated += kind != "control"
        if mutated == TOTAL:
            break
    controls = counts.total() - mutated
    assert controls * 10 >= counts.total()
    with capsys.disabled():
        print(f"\nguard: {mutated} mutated answers, 0 accepted; {controls} controls, all accepted")
        for (framing, kind), n in sorted(counts.items()):
            print(f"  {framing} {kind:12} {n:6}")
