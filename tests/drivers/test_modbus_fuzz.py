"""The guard in place: mutated answers over real sockets through ModbusBus; none becomes a value."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from engine.errors import BadFrame, LinkDown, NoReply, Refused

ANSWERS = 2000
LINES = 40  # at once, since every wrong answer costs a time-out or a drain


def mutate(rng: random.Random, kind: str, good: bytes, frames: Any) -> list[tuple[float, bytes]]:
    """What the peer sends instead of the right answer `good`."""
    on_tcp = good[2:4] == b"\0\0"
    head = 6 if on_tcp else 0

    def rebuilt(body: bytes, transaction: bytes = good[:2]) -> bytes:
        return bytes(frames.tcp(transaction, body) if on_tcp else frames.rtu(body))

    body = good[6:] if on_tcp else good[:-2]
    junk = rng.randbytes(rng.randint(1, 6))
    if kind == "control":
        cut = rng.randint(1, len(good) - 1)
        return rng.choice(([(0.0, good)], [(0.0, good[:cut]), (0.003, good[cut:])]))
    sent = {
        "unit": lambda: rebuilt(bytes((body[0] ^ rng.randint(1, 255),)) + body[1:]),
        "function": lambda: rebuilt(body[:1] + bytes((body[1] ^ 7,)) + body[2:]),
        "length": lambda: rebuilt(body[:2] + bytes((body[2] + 2,)) + body[3:] + b"\0\1"),
        "byte count": lambda: rebuilt(body[:2] + bytes((body[2] ^ 2,)) + body[3:]),
        "exception": lambda: rebuilt(body[:1] + bytes((body[1] | 0x80, 2, 0))),
        "order": lambda: good[head + 1 :] + good[: head + 1],
        "late": lambda: rebuilt(body, (int.from_bytes(good[:2], "big") ^ 1).to_bytes(2, "big"))
        if on_tcp else rebuilt(bytes((body[0] ^ 3,)) + body[1:]),
        "split": lambda: good[: rng.randint(1, len(good) - 1)],
        "merged": lambda: rng.choice((good + good, junk + good, good + junk)),
        "silent": lambda: b"",
        "transaction": lambda: rng.choice((b"\0\0", b"\xff\xff")) + good[2:],
        "protocol": lambda: good[:3] + b"\1" + good[4:],
        "burst": lambda: (int.from_bytes(good, "big") ^ (rng.randint(1, 0xFFFF) << rng.randint(0, 8 * len(good) - 16)))
        .to_bytes(len(good), "big"),
    }[kind]()  # fmt: skip
    return [(0.0, sent)] if sent else []


@pytest.mark.parametrize("protocol", ["modbus-tcp", "modbus-rtu-tcp"])
async def test_no_mutated_answer_becomes_a_value(
    protocol: str, listening: Any, bus_to: Any, frames: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ["control", "unit", "function", "length", "byte count", "exception", "order", "late", "split", "merged"]
    kinds += ["silent"]
    kinds += ["transaction", "protocol"] if protocol == "modbus-tcp" else ["burst"]
    sent: Counter[str] = Counter()
    taken: Counter[str] = Counter()

    async def line(number: int) -> None:
        rng, peer, current = random.Random(number), await listening(protocol), "control"
        stamp = asked = 0

        def script(request: bytes) -> list[tuple[float, bytes]]:
            good = frames.answer(request, lambda address, count: stamp.to_bytes(2, "big") * count)
            return mutate(rng, current if is_read(request) else "control", good, frames)

        def is_read(request: bytes) -> bool:  # and no probe
            return request[-4:-2] == b"\0\3" if peer.size == 8 else request[-2:] == b"\0\3"

        peer.script = script
        bus = bus_to(peer, timeout="200ms")
        while asked < ANSWERS // 2 // LINES:
            stamp += 1
            current = "control" if stamp % 7 == 0 else rng.choice(kinds[1:])
            before = len(peer.requests)
            try:
                payload = await bus.read_registers(1, 3, stamp, 3)
            except (BadFrame, NoReply, Refused, LinkDown):
                payload = None
            if any(is_read(request) for request in peer.requests[before:]):
                asked += 1
                sent[current] += 1
            if payload is not None:
                assert payload == stamp.to_bytes(2, "big") * 3
                taken[current] += 1

    await asyncio.gather(*[line(number) for number in range(LINES)])
    assert set(taken) <= {"control"}, taken
    assert taken["control"] == sent["control"]
    assert sent["control"] * 10 >= sent.total()
    assert set(sent) == set(kinds)
    with capsys.disabled():
        print(f"\n{protocol}: {sent.total()} answers over sockets, accepted {dict(taken)}")
        print("  sent: " + ", ".join(f"{kind} {n}" for kind, n in sorted(sent.items())))
