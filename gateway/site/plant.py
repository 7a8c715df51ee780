"""The plant's tables of site.toml: a bus, and a meter on it."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from gateway.site.fields import DurationMs, Host, Id, Port, PowerMw, Protocol, Ratio, Role, Table, Words, refuse
from gateway.site.units import duration_text

__all__ = ["TCP_PORTS", "Bus", "Meter", "Protocol", "Role", "own_bus_id"]

DAY_MS = 86_400_000
TCP_PORTS = {"modbus-tcp": 502, "modbus-rtu-tcp": 502, "iec104": 2404}
ADDRESSES = {"modbus-tcp": (0, 255), "modbus-rtu": (1, 247), "modbus-rtu-tcp": (1, 247), "iec104": (1, 65534)}


class Bus(Table):
    id: Id
    protocol: Protocol
    host: Host = ""
    port: Port | None = Field(default=None, description="Default 502, iec104 2404.")
    device: Words = Field(default="", description="Serial line, best by its stable name /dev/rs485-…")
    baud: int = Field(default=9600, ge=300, le=1_000_000, description="Also of the line behind a gateway.")
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    timeout: DurationMs = 1000
    overload: Literal["refuse", "stretch"] = Field(default="refuse", description="stretch: skip polls.")

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, value: int) -> int:
        if not 20 <= value <= 60_000:
            raise refuse("timeout lies between 20ms and 1m", '"1s"')
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Bus:
        if self.protocol == "modbus-rtu":
            if not self.device:
                raise refuse("modbus-rtu needs a serial line", 'device = "/dev/rs485-1"', "protocol")
            for key in ("host", "port"):
                if key in self.model_fields_set:
                    raise refuse(f"{key} does not belong to modbus-rtu", f"no {key}, or modbus-rtu-tcp", key)
            return self
        if not self.host:
            raise refuse(f"{self.protocol} needs a host", 'host = "10.0.0.7"', "protocol")
        if self.device:
            raise refuse(f"device does not belong to {self.protocol}", "no device, or modbus-rtu", "device")
        line = {"baud", "parity", "stop_bits"} & self.model_fields_set
        if self.protocol == "iec104" and line:
            raise refuse(f"{min(line)} does not belong to iec104", f"no {min(line)}", min(line))
        return self

    @property
    def tcp_port(self) -> int:
        return self.port or TCP_PORTS.get(self.protocol, 502)

    @property
    def serial_line(self) -> bool:
        """True where the speed of a line is known: a serial bus, or baud named for the line behind a gateway."""
        return self.protocol == "modbus-rtu" or "baud" in self.model_fields_set

    @property
    def endpoint(self) -> str:
        """The wire itself: two buses with one endpoint are one wire."""
        return self.device or f"{self.host.lower()}:{self.tcp_port}"


class Meter(Table):
    id: Id = Field(description="For ever: the name may change, a swapped device keeps the id.")
    name: Words = ""
    bus: Id | None = None
    host: Host = Field(default="", description="Instead of bus, with protocol.")
    port: Port | None = None
    protocol: Protocol | None = None
    address: int = Field(ge=0, le=65534, description="Modbus unit, IEC 104 common address.")
    profile: Words
    interval: DurationMs = 10_000
    rated_power: PowerMw | None = Field(default=None, description="What the feeder can carry: bounds belief.")
    parent: Id | None = None
    role: Role = "load"
    ct: Ratio | None = Field(default=None, description="Multiplies what the meter sends.")
    vt: Ratio | None = Field(default=None, description="Multiplies what the meter sends.")
    reverse: bool = Field(default=False, description="true: import and export are exchanged.")
    serial: Words = Field(default="", description="Serial number of the device in place.")
    ioa_base: int = Field(default=0, ge=0, le=0xFFFFFF, description="iec104: added to the profile's.")

    @field_validator("interval")
    @classmethod
    def _divides_a_day(cls, value: int) -> int:
        if value < 100 or DAY_MS % value:
            shown = duration_text(value)
            raise refuse(f'"{shown}" does not divide a day, or is below 100ms', '"1s", "10s" or "1m"')
        return value

    @model_validator(mode="after")
    def _one_wire(self) -> Meter:
        if self.bus is None and not self.host:
            raise refuse("neither bus nor host is given", 'bus = "…"', "id")
        if self.bus is not None:
            for key in ("host", "port", "protocol"):
                if key in self.model_fields_set:
                    where = f"{key} in its [[bus]], or no bus"
                    raise refuse(f'{key} belongs to bus "{self.bus}"', where, key)
        elif self.protocol in (None, "modbus-rtu"):
            protocols = 'protocol = "modbus-tcp", "modbus-rtu-tcp" or "iec104"'
            raise refuse("host needs a protocol of its own", protocols, "host")
        return self


def own_bus_id(meter: Meter) -> str:
    """Bus id of a meter that carries host, port and protocol itself."""
    port = meter.port or TCP_PORTS.get(meter.protocol or "", 502)
    name = re.sub("[^a-z0-9-]", "-", f"{meter.protocol}-{meter.host}-{port}".lower())
    if len(name) <= 40:
        return name
    return f"{name[:31]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
