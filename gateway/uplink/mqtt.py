"""One connection to the broker. The only file that knows paho.

paho is driven by our event loop: no thread of its own, no automatic reconnect, no queue that outlives the
connection. Every attempt takes a fresh client. paho's idea of "published" is not used; the reason code of
each PUBACK goes to `on_ack`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from engine.errors import ConfigError
from gateway.site.secret import read_secret
from gateway.site.settings import Settings
from gateway.uplink.envelope import client_id
from gateway.uplink.limits import Limits
from gateway.uplink.notice import UplinkFault, fault

# Unsent bytes kept in the kernel: live values wait behind at most this and one batch.
UNSENT_BYTES_MAX = 65_536
USER = "wattledger-uplink"
_AUTH = {0x85, 0x86, 0x87, 0x8A, 0x8C}  # client id, user or password, not authorised, banned, bad method
_BAD_ANSWER = (ValueError, KeyError, IndexError, TypeError, AssertionError, struct.error)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where, as whom, and how."""

    host: str
    port: int
    tls: bool
    version: str
    client: str
    username: str
    password_file: Path | None
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None

    @classmethod
    def of(cls, settings: Settings) -> Broker:
        mqtt, url = settings.mqtt, urlsplit(settings.mqtt.url)
        tls = url.scheme == "mqtts"
        client = client_id(settings.site.id, settings.site.gateway)
        return cls(
            url.hostname or "", url.port or (8883 if tls else 1883), tls, mqtt.version, client, mqtt.username,
            mqtt.password_file, mqtt.ca_file, mqtt.cert_file, mqtt.key_file,
        )  # fmt: skip

    @property
    def name(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @property
    def proof(self) -> str:
        """What an acknowledgement of this broker is worth."""
        return f"puback-{self.version}"


class Link:
    """A connection. `on_ack(message id, reason code)` and `on_change()` are called from the event loop.

    `failed` is set once the connection is gone, whatever the cause. `busy`: bytes still wait for the socket.
    """

    def __init__(
        self,
        broker: Broker,
        limits: Limits,
        on_ack: Callable[[int, int], None],
        on_change: Callable[[], None],
    ) -> None:
        self.broker = broker
        self.failed: UplinkFault | None = None
        self.receive_maximum = 65_535
        self.packet_bytes_max = 268_435_455
        self._limits = limits
        self._on_ack = on_ack
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._socket: Any = None
        self._writing = False
        v5 = broker.version == "5"
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client,
            clean_session=None if v5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.max_inflight_messages_set(0)  # the window is ours
        self._client.connect_timeout = limits.connect_timeout_ms / 1000
        self._client.on_connect = self._connack
        self._client.on_disconnect = self._disconnected
        self._client.on_socket_close = self._closing

    @property
    def busy(self) -> bool:
        return self._client.want_write()

    async def open(self, will_topic: str, will: bytes) -> None:
        """Connect and wait for the broker's welcome. Raises UplinkFault and leaves nothing open."""
        self._credentials()
        self._client.will_set(will_topic, will, qos=1, retain=True)
        try:
            async with asyncio.timeout(2 * self._limits.connect_timeout_ms / 1000):
                await self._dial()
                self._attach()
                await self._answered
        except TimeoutError:
            raise self._unreachable("no answer in time") from None
        finally:
            if self._answered.cancelled() or not self._answered.done() or self._answered.exception():
                self.abort()

    def _credentials(self) -> None:
        broker = self.broker
        try:
            if broker.username:
                password = read_secret(broker.password_file, USER) if broker.password_file else None
                self._client.username_pw_set(broker.username, password)
            if broker.tls:
                context = ssl.create_default_context(cafile=broker.ca_file)
                if broker.cert_file and broker.key_file:
                    context.load_cert_chain(broker.cert_file, broker.key_file)
                self._client.tls_set_context(context)
        except (OSError, ConfigError) as error:
            raise fault("files", reason=str(error)) from error

    async def _dial(self) -> None:
        """DNS, TCP and TLS in a thread of its own that a stop need not wait for."""
        done: asyncio.Future[None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if done.done():
                self.abort()
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def dial() -> None:
            outcome: Exception | None = None
            try:
                self._client.connect(self.broker.host, self.broker.port, self._limits.keepalive_s)
            except (OSError, ValueError) as error:
                outcome = error
            with contextlib.suppress(RuntimeError):  # the loop has ended in the meantime
                self._loop.call_soon_threadsafe(settle, outcome)

        threading.Thread(target=dial, name="dial", daemon=True).start()
        try:
            await done
        except ssl.SSLError as error:
            raise fault("tls_failed", broker=self.broker.name, reason=str(error)) from error
        except TimeoutError as error:
            raise self._unreachable("connecting timed out") from error
        except (OSError, ValueError) as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, reason: str) -> UplinkFault:
        return fault("unreachable", broker=self.broker.name, reason=reason)

    def _attach(self) -> None:
        self._socket = self._client.socket()
        if self._socket is None:  # refused while dialling
            self._fail(fault("disconnected", broker=self.broker.name, reason="closed at once"))
            return
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
        self._client.on_publish = self._puback
        self._loop.add_reader(self._socket, self._readable)
        self._watch_writes()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> int:
        """Hand over one message; returns its id. A connection that breaks over it shows in `failed`."""
        # For QoS 0 paho would make up an acknowledgement, at a quarter of the whole cost.
        self._client.on_publish = self._puback if qos else None
        info = self._client.publish(topic, payload, qos, retain)
        self._client.on_publish = self._puback
        self._watch_writes()
        return info.mid

    def misc(self) -> None:
        """Keep-alive; about once a second."""
        self._client.loop_misc()
        self._watch_writes()

    def close(self) -> None:
        """Say goodbye, so that the broker does not send the will."""
        self._client.on_disconnect = None
        if self._socket is not None:
            self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._client.on_disconnect = self._client.on_publish = None
        sock = self._client.socket()
        if self._socket is not None:
            self._closing(self._client, None, self._socket)
        self._client.on_socket_close = None
        if sock is not None:
            sock.close()

    def _fail(self, error: UplinkFault) -> None:
        if self.failed is None:
            self.failed = error
            if not self._answered.done():
                self._answered.set_exception(error)
            self._on_change()

    def _readable(self) -> None:
        try:
            code = self._client.loop_read()
            while code == MQTTErrorCode.MQTT_ERR_SUCCESS and self.broker.tls and self._pending():
                code = self._client.loop_read()
        except _BAD_ANSWER as error:
            self._broken(f"not MQTT: {error}")
            return
        self._watch_writes()

    def _pending(self) -> bool:
        return self._socket is not None and bool(self._socket.pending())

    def _broken(self, reason: str) -> None:
        """The broker sent what this version of MQTT does not know."""
        kind = "disconnected" if self._answered.done() else "protocol"
        self._fail(fault(kind, broker=self.broker.name, version=self.broker.version, reason=reason))
        self.abort()

    def _writable(self) -> None:
        self._client.loop_write()
        self._watch_writes()
        if not self.busy:
            self._on_change()

    def _watch_writes(self) -> None:
        waiting = self._socket is not None and self._client.want_write()
        if waiting and not self._writing:
            self._loop.add_writer(self._socket, self._writable)
        elif self._writing and not waiting and self._socket is not None:
            self._loop.remove_writer(self._socket)
        self._writing = waiting

    def _closing(self, client: Client, data: Any, sock: Any) -> None:
        if self._socket is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            self._socket = None
            self._writing = False

    def _puback(self, client: Client, data: Any, mid: int, reason: ReasonCode, _: Properties) -> None:
        self._on_ack(mid, reason.value)

    def _connack(
        self, client: Client, data: Any, _: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        code, words = reason.value, {"broker": self.broker.name, "reason": str(reason)}
        if code == 0:
            self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
            self.packet_bytes_max = getattr(properties, "MaximumPacketSize", self.packet_bytes_max)
            if getattr(properties, "MaximumQoS", 1) < 1:
                words["reason"] = "it offers QoS 0 only, that is no proof"
                self._fail(fault("refused", **words))
            elif not self._answered.done():
                self._answered.set_result(None)
        elif code in _AUTH:
            self._fail(fault("not_authorised", client=self.broker.client, **words))
        elif code == 0x84:
            self._fail(fault("protocol", version=self.broker.version, **words))
        else:
            self._fail(fault("refused", **words))

    def _disconnected(
        self, client: Client, data: Any, flags: DisconnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        words = {"broker": self.broker.name, "reason": str(reason)}
        if flags.is_disconnect_packet_from_server and reason.value == 0x8E:
            self._fail(fault("taken_over", client=self.broker.client, **words))
        elif not self._answered.done() and reason.value in (0x81, 0x82):
            self._fail(fault("protocol", version=self.broker.version, **words))
        else:
            self._fail(fault("disconnected" if self._answered.done() else "unwelcome", **words))
