"""site.toml: the model of everything a human configures (DESIGN §6). Reading and refusing stand in config_file.py."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from gateway.units import duration_ms, power_mw, ratio

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
DurationMs = Annotated[int, BeforeValidator(duration_ms)]
PowerMw = Annotated[int, BeforeValidator(power_mw)]
Ratio = Annotated[Fraction, BeforeValidator(ratio)]
Stream = Literal["intervals", "events", "manifests", "readings"]
Protocol = Literal["modbus-tcp", "modbus-rtu", "modbus-rtu-tcp", "iec104"]
CarbonProfile = Literal["ghgp-location", "ghgp-market", "cn-ets-2023", "cn-net-purchase"]
Role = Literal["grid", "load", "generation", "storage"]
QUARTER_MS = 900_000


class Table(BaseModel):
    """A table of site.toml: unknown keys are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Site(Table):
    id: Id
    name: str = ""
    gateway: Id = "gw-1"
    timezone: str = "UTC"
    language: Literal["zh", "en"] = "en"
    energy_interval: DurationMs = QUARTER_MS

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f'unknown time zone {value!r}: write e.g. "Asia/Shanghai" or "Europe/Berlin"') from error
        return value

    @field_validator("energy_interval")
    @classmethod
    def _divides_a_quarter(cls, value: int) -> int:
        if value < 10_000 or value > QUARTER_MS or QUARTER_MS % value or value % 1000:
            raise ValueError("energy_interval must divide 15 minutes, from 10s to 15m: 10s, 30s, 1m, 5m, 15m")
        return value


class Store(Table):
    path: Path = Path("/var/lib/wattledger")
    runtime: Path | None = None  # default: /run/wattledger for the packaged path, else {path}/run
    commit_interval: DurationMs = 10_000
    retention_years: int = Field(5, ge=5, le=100)
    clock_hold: DurationMs = 3_600_000

    @property
    def runtime_dir(self) -> Path:
        if self.runtime is not None:
            return self.runtime
        return Path("/run/wattledger") if self.path == Path("/var/lib/wattledger") else self.path / "run"


class Mqtt(Table):
    url: str = Field("mqtt://127.0.0.1:1883", pattern=r"^mqtts?://[^\s/@]+?(:\d{1,5})?/?$")
    version: Literal["5", "3.1.1"] = "5"
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    streams: tuple[Stream, ...] = ("intervals", "events", "readings")
    readings_format: Literal["objects", "columns"] = "objects"
    no_subscriber: Literal["wait", "accept"] = "wait"

    @model_validator(mode="after")
    def _pairs(self) -> Mqtt:
        if self.password_file and not self.username:
            raise ValueError("password_file without username: add the user name, or remove password_file")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together: give both or none")
        return self


class Web(Table):
    listen: str = Field("127.0.0.1:8080", pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$")
    password_file: Path | None = None
    open: bool = False

    @model_validator(mode="after")
    def _loopback_or_guarded(self) -> Web:
        host = self.listen.rsplit(":", 1)[0].strip("[]")
        loopback = host in ("localhost", "::1") or host.startswith("127.")
        if not loopback and not self.password_file and not self.open:
            raise ValueError(
                f'listen = "{self.listen}" is reachable from the network: set password_file = "…", '
                "or write open = true if everyone there may read"
            )
        return self


class Carbon(Table):
    factor: str = "cn.grid.national.2023"
    profiles: tuple[CarbonProfile, ...] = ("ghgp-location",)


class Bus(Table):
    id: Id
    protocol: Protocol
    host: str = ""
    port: int | None = Field(None, ge=1, le=65535)
    device: str = ""
    baud: int = Field(9600, ge=300, le=1_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    timeout: DurationMs = 1000
    overload: Literal["refuse", "stretch"] = "refuse"

    @model_validator(mode="after")
    def _reachable(self) -> Bus:
        if self.protocol == "modbus-rtu":
            if not self.device or self.host:
                raise ValueError(f'bus "{self.id}": modbus-rtu needs device = "/dev/rs485-…" and no host')
        elif not self.host or self.device:
            raise ValueError(f'bus "{self.id}": {self.protocol} needs host = "10.0.0.7" and no device')
        return self

    @property
    def tcp_port(self) -> int:
        return self.port or (2404 if self.protocol == "iec104" else 502)


class Meter(Table):
    id: Id
    name: str = ""
    bus: Id | None = None
    host: str = ""
    port: int | None = Field(None, ge=1, le=65535)
    protocol: Protocol | None = None
    address: int = Field(ge=0, le=65535)
    profile: str
    interval: DurationMs = 10_000
    rated_power: PowerMw | None = None
    parent: Id | None = None
    role: Role = "load"
    ct: Ratio | None = None
    vt: Ratio | None = None
    reverse: bool = False
    serial: str = ""
    ioa_base: int = Field(0, ge=0, le=0xFFFFFF)

    @model_validator(mode="after")
    def _one_wire(self) -> Meter:
        if (self.bus is None) == (not self.host):
            raise ValueError(f'meter "{self.id}": give either bus = "…" or host = "…" with protocol, not both or none')
        if self.host and self.protocol in (None, "modbus-rtu"):
            raise ValueError(f'meter "{self.id}": host needs protocol = "modbus-tcp", "modbus-rtu-tcp" or "iec104"')
        if self.bus and (self.protocol or self.port):
            raise ValueError(f'meter "{self.id}": protocol and port belong to bus "{self.bus}"')
        if self.interval < 100 or 86_400_000 % self.interval:
            raise ValueError(f'meter "{self.id}": interval must divide a day and be at least 100ms, e.g. "1s", "10s", "1m"')
        return self


class Settings(Table):
    """The whole file. Cross-checks that need only the file itself are here; profile and bus time are in check.py."""

    site: Site
    store: Store = Store()
    mqtt: Mqtt = Mqtt()
    web: Web = Web()
    carbon: Carbon = Carbon()
    bus: tuple[Bus, ...] = ()
    meter: tuple[Meter, ...] = ()

    @property
    def buses(self) -> dict[str, Bus]:
        """Every bus by id; a meter with a host of its own has a bus named `{protocol}-{host}-{port}`."""
        found = {bus.id: bus for bus in self.bus}
        for meter in self.meter:
            if meter.host and meter.protocol:
                own = Bus(id="own", protocol=meter.protocol, host=meter.host, port=meter.port)
                key = own_bus_id(meter)
                found.setdefault(key, own.model_copy(update={"id": key}))
        return found

    @property
    def meters(self) -> dict[str, Meter]:
        return {meter.id: meter for meter in self.meter}

    def bus_of(self, meter: Meter) -> str:
        return meter.bus or own_bus_id(meter)


def own_bus_id(meter: Meter) -> str:
    """Bus id of a meter that carries host, port and protocol itself."""
    port = meter.port or (2404 if meter.protocol == "iec104" else 502)
    return f"{meter.protocol}-{meter.host}-{port}".lower().replace(".", "-").replace(":", "-")
