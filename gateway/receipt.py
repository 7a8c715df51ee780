"""The demo's own subscriber: counts what arrives and finds every hole in the sequence numbers."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

STREAMS = ("intervals", "events", "readings")


class Receipt:
    """Subscribes on its own thread while used as a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._seen: dict[str, set[int]] = {stream: set() for stream in STREAMS}
        self._power: dict[str, float] = {}
        self.live = 0
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("wattledger/v1/#", qos=1)
        self._client.on_message = self._take
        self._client.connect(host, port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        levels = message.topic.split("/")
        if levels[4] == "live":
            self.live += 1
            power = orjson.loads(message.payload)["values"].get("active_power_w")
            if power is not None:
                self._power[levels[5]] = power
        elif levels[4] in self._seen:
            batch = orjson.loads(message.payload)
            self._seen[levels[4]].update(range(batch["from"], batch["to"] + 1))

    def sentence(self) -> str:
        """What came, and whether anything is missing."""
        rows = ", ".join(f"{len(self._seen[s])} {s}" for s in STREAMS)
        missing = sum(max(seen) - min(seen) + 1 - len(seen) for seen in self._seen.values() if seen)
        return f"received {rows}, {self.live} live values of {len(self._power)} meters; missing {missing}"
