"""A small MQTT 5 and 3.1.1 broker for the demo and for tests: not for a plant.

It knows QoS 0 and 1, retained messages, the will, persistent sessions, + and #, and PUBACK 16 where nobody
subscribes. It keeps all in memory, sends a will at once and a session expires only by being replaced.
What it is for is `Faults`: a broker that misbehaves on demand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import signal
from collections.abc import Mapping

from simulators import mqtt_packets as mqtt
from simulators.broker_faults import Faults
from simulators.mqtt_packets import MalformedError, Publish
from simulators.mqtt_sessions import Session, Sessions, matches, valid_filter

RECEIVE_MAXIMUM = 100
PACKET_BYTES_MAX = 16 * 1024 * 1024
OUTGOING_BYTES_MAX = 4 * 1024 * 1024  # above it QoS 0 messages to that client are dropped
CONNECT_WITHIN_S = 5.0
HOLD_ACKS_S = 0.05  # fewer than `reverse_acks` of them are sent after this
_NOT_AUTHORISED, _BAD_PASSWORD, _TAKEN_OVER = 0x87, 0x86, 0x8E
_V3_CODE = {_BAD_PASSWORD: 4, _NOT_AUTHORISED: 5}  # other refusals read "server unavailable" there


class Broker:
    """`async with Broker() as broker: broker.port`. `users` maps names to passwords; None lets anybody in."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        faults: Faults | None = None,
        users: Mapping[str, str] | None = None,
        levels: tuple[int, ...] = (mqtt.V5, mqtt.V3),
        receive_maximum: int = RECEIVE_MAXIMUM,
        packet_bytes_max: int = PACKET_BYTES_MAX,
    ) -> None:
        self.host = host
        self.port = port
        self.faults = faults or Faults()
        self.sessions = Sessions()
        self.users = users
        self.levels = levels
        self.receive_maximum = receive_maximum
        self.packet_bytes_max = packet_bytes_max
        self.clients: dict[str, _Client] = {}
        self.acks = 0  # PUBACKs that were due, those lost on demand included
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; `port` 0 becomes the port that was given."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection; sessions and retained messages stay for later."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await _Client(self, reader, writer).run()
        except asyncio.CancelledError:
            writer.transport.abort()  # `stop` ends it here, or asyncio would report an error
        finally:
            self._tasks.discard(task)
            writer.close()


class _Client:
    """One connection."""

    def __init__(self, broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.will: Publish | None = None
        self._broker = broker
        self._reader = reader
        self._writer = writer
        self._name = ""
        self._level = mqtt.V5
        self._session: Session | None = None
        self._published = 0
        self._held_acks: list[bytes] = []

    async def run(self) -> None:
        try:
            keep_alive_s = await self._connect()
            while self._session is not None and self._session.send is not None:
                async with asyncio.timeout(keep_alive_s * 1.5 if keep_alive_s else None):
                    received = await mqtt.read_packet(self._reader, self._broker.packet_bytes_max)
                await self._broker.faults.thawed.wait()
                if received is None or not self._handle(*received):
                    break
                await self._writer.drain()
        except MalformedError:
            self._write(mqtt.encode_disconnect(0x81) if self._level == mqtt.V5 else b"")
        except (ConnectionError, TimeoutError):
            pass  # gone, or silent for longer than it promised: the will tells
        finally:
            self._leave()

    async def _connect(self) -> int:
        """The first packet; returns the keep-alive in seconds."""
        broker = self._broker
        async with asyncio.timeout(CONNECT_WITHIN_S):
            received = await mqtt.read_packet(self._reader, broker.packet_bytes_max)
        if received is None or received[0] != mqtt.CONNECT:
            raise MalformedError("CONNECT expected")
        await broker.faults.thawed.wait()
        connect = mqtt.decode_connect(received[2])
        self._level = connect.level if connect.level in broker.levels else max(broker.levels)
        if broker.faults.garbage:
            self._write(broker.faults.garbage)
            return 0
        code = self._refusal(connect)
        if code:
            if self._level == mqtt.V3:
                code = 1 if code == 0x84 else _V3_CODE.get(code, 3)
            self._write(mqtt.encode_connack(self._level, code, session_present=False, properties={}))
            return 0
        self._name = connect.client or f"auto-{id(self):x}"
        if (older := broker.clients.pop(self._name, None)) is not None:
            older.taken_over()
        self._session, present = broker.sessions.open(self._name, clean=connect.clean)
        self._session.expires_s = connect.session_expiry_s
        broker.clients[self._name], self.will = self, connect.will
        self._write(self._welcome(connect, present=present))
        self._session.resume(self._send, connect.properties.get(mqtt.RECEIVE_MAXIMUM, 65_535))
        return connect.keep_alive_s

    def _welcome(self, connect: mqtt.Connect, *, present: bool) -> bytes:
        properties: mqtt.Properties = {
            mqtt.RECEIVE_MAXIMUM: self._broker.receive_maximum,
            mqtt.MAXIMUM_QOS: 1,
            mqtt.PACKET_BYTES_MAX: self._broker.packet_bytes_max,
        }
        if not connect.client:
            properties[mqtt.ASSIGNED_CLIENT] = self._name
        return mqtt.encode_connack(self._level, 0, session_present=present, properties=properties)

    def _refusal(self, connect: mqtt.Connect) -> int:
        if connect.level not in self._broker.levels:
            return 0x84
        if self._broker.faults.refuse_connect:
            return self._broker.faults.refuse_connect
        users = self._broker.users
        expected = None if users is None else users.get(connect.username or "", "").encode()
        if expected is not None and not (expected and hmac.compare_digest(expected, connect.password or b"")):
            return _BAD_PASSWORD
        return 0

    def _handle(self, kind: int, flags: int, body: bytes) -> bool:
        """One packet; False ends the connection."""
        assert self._session is not None
        if kind == mqtt.PUBLISH:
            return self._publish(mqtt.decode_publish(flags, body, self._level))
        if kind == mqtt.PUBACK:
            self._session.acknowledged(mqtt.decode_packet_id(body))
        elif kind == mqtt.SUBSCRIBE:
            self._subscribe(mqtt.decode_subscribe(body, self._level, options=True))
        elif kind == mqtt.UNSUBSCRIBE:
            request = mqtt.decode_subscribe(body, self._level, options=False)
            gone = [self._session.subscriptions.pop(pattern, None) for pattern, _ in request.filters]
            codes = [0x11 if options is None else 0 for options in gone]
            self._write(mqtt.encode_suback(mqtt.UNSUBACK, request.packet_id, codes, self._level))
        elif kind == mqtt.PINGREQ:
            self._write(mqtt.packet(mqtt.PINGRESP, 0, b""))
        elif kind == mqtt.DISCONNECT:
            reason, properties = mqtt.decode_disconnect(body)
            self._session.expires_s = properties.get(mqtt.SESSION_EXPIRY, self._session.expires_s)
            self.will = self.will if reason == 4 else None
            return False
        else:
            raise MalformedError(f"packet type {kind}")
        return True

    def _publish(self, message: Publish) -> bool:
        faults = self._broker.faults
        self._published += 1
        if faults.cut_after and self._published > faults.cut_after:
            self._writer.transport.abort()
            return False
        if message.qos == 2 or mqtt.TOPIC_ALIAS in message.properties or not message.topic:
            self._write(mqtt.encode_disconnect(0x9B if message.qos == 2 else 0x94))
            return False
        codes = (code for pattern, code in faults.refuse_publish.items() if matches(pattern, message.topic))
        code = next(codes, 0)
        if not code and faults.refuse_above_bytes and len(message.payload) > faults.refuse_above_bytes:
            code = 0x83
        if not code and not self._broker.sessions.publish(message, self._name):
            code = 0x10
        if message.qos:
            self._acknowledge(mqtt.encode_puback(message.packet_id, code, self._level))
        return True

    def _acknowledge(self, packet: bytes) -> None:
        faults = self._broker.faults
        self._broker.acks += 1
        if faults.never_acknowledge or (faults.lose_ack_every and self._broker.acks % faults.lose_ack_every == 0):
            return
        self._held_acks.append(packet)
        if len(self._held_acks) >= max(1, faults.reverse_acks):
            self._release_acks()
        elif len(self._held_acks) == 1:
            asyncio.get_running_loop().call_later(HOLD_ACKS_S, self._release_acks)

    def _release_acks(self) -> None:
        self._write(b"".join(reversed(self._held_acks)))
        self._held_acks.clear()

    def _subscribe(self, request: mqtt.Subscribe) -> None:
        assert self._session is not None
        codes = []
        for pattern, options in request.filters:
            refused = 0x8F if not valid_filter(pattern) else 0x9E if pattern.startswith("$share/") else 0
            codes.append(refused or min(options & 3, 1))
        self._write(mqtt.encode_suback(mqtt.SUBACK, request.packet_id, codes, self._level))
        for (pattern, options), code in zip(request.filters, codes, strict=True):
            if code < 0x80:
                self._broker.sessions.subscribe(self._session, pattern, options & ~3 | code)

    def _send(self, message: Publish) -> None:
        if message.qos or self._writer.transport.get_write_buffer_size() < OUTGOING_BYTES_MAX:
            self._write(mqtt.encode_publish(message, self._level))

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    def taken_over(self) -> None:
        """Another connection has this client id now."""
        if self._level == mqtt.V5:
            self._write(mqtt.encode_disconnect(_TAKEN_OVER))
        self._leave()
        self._writer.close()

    def _leave(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            self._broker.sessions.leave(session)
            if self._broker.clients.get(self._name) is self:
                del self._broker.clients[self._name]
            if self.will is not None:
                self._broker.sessions.publish(self.will, self._name)


async def _run(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Broker(host, port) as broker:
        print(json.dumps({"host": broker.host, "port": broker.port}), flush=True)
        await stop.wait()


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM; prints one JSON line with the port."""
    parser = argparse.ArgumentParser(prog="python -m simulators.broker", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    options = parser.parse_args(argv)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(options.host, options.port))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
