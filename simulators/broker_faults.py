"""How the demo broker misbehaves on demand. For tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Faults:
    """What goes wrong; may be changed while the broker runs. Everything off by default."""

    never_acknowledge: bool = False
    lose_ack_every: int = 0  # every nth PUBACK is not sent
    reverse_acks: int = 0  # so many PUBACKs are collected and sent in reverse order
    refuse_connect: int = 0  # reason code of every CONNACK
    refuse_publish: Mapping[str, int] = field(default_factory=dict)  # topic filter → PUBACK code
    refuse_above_bytes: int = 0  # larger payloads are answered 0x83
    cut_after: int = 0  # the connection is cut after so many PUBLISH packets
    garbage: bytes = b""  # sent instead of the CONNACK
    thawed: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: the broker is frozen

    def __post_init__(self) -> None:
        self.thawed.set()
