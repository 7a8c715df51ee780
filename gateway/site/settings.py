"""site.toml: the model of everything a human configures. Reading and refusing stand in file.py."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from gateway.site import units
from gateway.site.fields import CarbonProfile, DurationMs, FilePath, Id, Stream, Table, Words, refuse, unique
from gateway.site.plant import Bus, Meter, Protocol, Role, own_bus_id

__all__ = [
    "Bus", "Carbon", "Meter", "Mqtt", "Protocol", "Role", "Settings", "Site", "Store", "Web", "own_bus_id",
    "text_digest",
]  # fmt: skip

DEFAULT_STORE = Path("/var/lib/wattledger")
QUARTER_MS = 900_000
_URL = re.compile(r"(?P<scheme>mqtts?)://(?P<host>\[[0-9a-fA-F:]+\]|[^\s/@:\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?")
_LISTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^\s/@:\[\]]+):(?P<port>[0-9]{1,5})")


class Site(Table):
    id: Id = Field(description="For ever; the first part of every MQTT topic.")
    name: Words = ""
    gateway: Id = Field(default="gw-1", description="One box of the site; for ever.")
    timezone: str = Field(default="UTC", description="IANA name; days and months of page and reports.")
    language: Literal["zh", "en"] = "en"
    clock: Literal["sync", "trust"] = Field(
        default="sync", description="sync: wait until NTP or PTP confirmed the time; trust: it is right as it is."
    )
    energy_interval: DurationMs = QUARTER_MS

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise refuse(f'unknown time zone "{value}"', 'an IANA name, e.g. "Asia/Shanghai"') from error
        return value

    @field_validator("energy_interval")
    @classmethod
    def _divides_a_quarter(cls, value: int) -> int:
        if value < 10_000 or QUARTER_MS % value or value % 1000:
            shown = units.duration_text(value)
            raise refuse(f'"{shown}" does not divide 15 minutes', '"10s", "30s", "1m", "5m" or "15m"')
        return value


class Store(Table):
    path: FilePath = DEFAULT_STORE
    runtime: FilePath | None = Field(default=None, description="/run/wattledger or {path}/run.")
    commit_interval: DurationMs = 10_000
    retention_years: int = Field(default=5, ge=5, le=100)
    clock_hold: DurationMs = Field(default=3_600_000, description="Wait for the first clock sync.")

    @field_validator("commit_interval")
    @classmethod
    def _bounded(cls, value: int) -> int:
        if not 100 <= value <= 300_000:
            raise refuse("commit_interval, what a power cut may cost, lies between 100ms and 5m", '"10s"')
        return value

    @property
    def runtime_dir(self) -> Path:
        if self.runtime is not None:
            return self.runtime
        return Path("/run/wattledger") if self.path == DEFAULT_STORE else self.path / "run"

    @property
    def uplink_dir(self) -> Path:
        """Directory of uplink.db: its own, for the uplink's user must not write beside the ledger."""
        return self.path / "uplink"


class Mqtt(Table):
    url: str = Field(default="mqtt://127.0.0.1:1883", description="mqtt:// or mqtts:// (TLS), host, port.")
    version: Literal["5", "3.1.1"] = Field(default="5", description="3.1.1 proves less: no reason codes.")
    username: Words = ""
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    streams: Annotated[tuple[Stream, ...], Field(strict=False), AfterValidator(unique)] = (
        "intervals", "events", "readings",
    )  # fmt: skip
    readings_format: Literal["objects", "columns"] = "objects"
    no_subscriber: Literal["wait", "accept"] = "wait"

    @field_validator("url")
    @classmethod
    def _broker(cls, value: str) -> str:
        if "@" in value:
            raise refuse("the url carries a user or password", "username = … and password_file = … beside it")
        match = _URL.fullmatch(value)
        if match is None or not 0 < int(match["port"] or 1) < 65536:
            raise refuse(f'"{value}" is not a broker', '"mqtts://broker.example:8883"')
        return value

    @model_validator(mode="after")
    def _pairs(self) -> Mqtt:
        if self.password_file and not self.username:
            raise refuse("password_file without username", 'username = "…"', "password_file")
        if bool(self.cert_file) != bool(self.key_file):
            key = "cert_file" if self.cert_file else "key_file"
            raise refuse("cert_file and key_file belong together", "both or none", key)
        secured = next((k for k in ("ca_file", "cert_file") if getattr(self, k)), None)
        if secured and not self.tls:
            raise refuse(f"{secured} has no effect on mqtt://", f'url = "mqtts://{self.host}:8883"', "url")
        return self

    @property
    def tls(self) -> bool:
        return self.url.startswith("mqtts:")

    @property
    def host(self) -> str:
        match = _URL.fullmatch(self.url)
        return match["host"].strip("[]") if match else ""

    @property
    def port(self) -> int:
        match = _URL.fullmatch(self.url)
        return int(match["port"]) if match and match["port"] else 8883 if self.tls else 1883


class Web(Table):
    listen: str = "127.0.0.1:8080"
    password_file: FilePath | None = None
    open: bool = Field(default=False, description="true: no password; who reaches the port may read.")

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        match = _LISTEN.fullmatch(value)
        if match is None or int(match["port"]) > 65535:
            raise refuse(f'"{value}" is not host:port', '"127.0.0.1:8080"')
        return value

    @model_validator(mode="after")
    def _loopback_or_guarded(self) -> Web:
        if not self.loopback and not self.password_file and not self.open:
            raise refuse(
                f'"{self.listen}" is reachable from the network',
                'password_file = "…", or open = true if everyone there may read', "listen",
            )  # fmt: skip
        return self

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Carbon(Table):
    factor: Words = "cn.grid.national.2023"
    profiles: Annotated[tuple[CarbonProfile, ...], Field(strict=False), AfterValidator(unique)] = (
        "ghgp-location",
    )


class Settings(Table):
    """The whole file. What needs two tables stands in rules.py, profiles and bus time in check.py."""

    site: Site
    store: Store = Store()
    mqtt: Mqtt = Mqtt()
    web: Web = Web()
    carbon: Carbon = Carbon()
    bus: Annotated[tuple[Bus, ...], Field(strict=False)] = ()
    meter: Annotated[tuple[Meter, ...], Field(strict=False)] = ()

    _text: str = PrivateAttr("")
    _file: Path | None = PrivateAttr(None)

    def read_from(self, file: Path, text: str) -> Settings:
        """Remember where this came from; file.py calls it once."""
        self._file, self._text = file, text
        return self

    @property
    def file(self) -> Path | None:
        """The file a human wrote, also when its last good copy is in force; None if there was none."""
        return self._file

    @property
    def text(self) -> str:
        """The text in force, as the log keeps it."""
        return self._text or self.model_dump_json()

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of `text`."""
        return text_digest(self.text)

    @cached_property
    def buses(self) -> dict[str, Bus]:
        """Every bus by id; a meter with a host of its own has a bus named `{protocol}-{host}-{port}`."""
        found = {bus.id: bus for bus in self.bus}
        for meter in self.meter:
            if meter.host and meter.protocol:
                key = own_bus_id(meter)
                found.setdefault(key, Bus(id=key, protocol=meter.protocol, host=meter.host, port=meter.port))
        return found

    @cached_property
    def meters(self) -> dict[str, Meter]:
        return {meter.id: meter for meter in self.meter}

    def bus_of(self, meter: Meter) -> str:
        """Id of the bus that a meter hangs on."""
        return meter.bus or own_bus_id(meter)


def text_digest(text: str) -> str:
    """What `status` and the log call a configuration by."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
