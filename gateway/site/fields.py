"""What the tables of site.toml are made of: refusals, and the types whose values carry their unit."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from gateway.site import units

ID = r"^[a-z0-9][a-z0-9-]{0,39}$"


def refuse(message: str, instead: str, key: str = "") -> PydanticCustomError:
    """What a validator raises: what is wrong, what to write instead, and the key whose line is meant."""
    return PydanticCustomError("refused", "{message}", {"message": message, "instead": instead, "key": key})


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise refuse(f'"{twice[0]}" is listed twice', "each name once")
    return values


def _host(value: str) -> str:
    if re.fullmatch(r"[^:]+:[0-9]+", value):
        host, port = value.split(":")
        raise refuse(f'host "{value}" carries a port', f'host = "{host}" and port = {port}')
    if value and not re.fullmatch(r"[^\s/@]{1,253}", value):
        raise refuse(f'"{value}" is not a host name or address', 'host = "10.0.0.7"')
    return value


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Id = Annotated[str, Field(pattern=ID)]
Words = Annotated[str, Field(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
Host = Annotated[str, AfterValidator(_host)]
FilePath = Annotated[Path, Field(strict=False), PlainSerializer(str)]
Port = Annotated[int, Field(ge=1, le=65535)]
DurationMs = Annotated[
    int, BeforeValidator(units.duration_ms), PlainSerializer(units.duration_text), _text(units.DURATION)
]
PowerMw = Annotated[
    int, BeforeValidator(units.power_mw), PlainSerializer(units.power_text), _text(units.POWER)
]
Ratio = Annotated[
    Fraction, BeforeValidator(units.ratio), PlainSerializer(units.ratio_text), _text(units.RATIO)
]
Stream = Literal["intervals", "events", "manifests", "readings"]
Protocol = Literal["modbus-tcp", "modbus-rtu", "modbus-rtu-tcp", "iec104"]
CarbonProfile = Literal["ghgp-location", "ghgp-market", "cn-ets-2023", "cn-net-purchase"]
Role = Literal["grid", "load", "generation", "storage"]


class Table(BaseModel):
    """A table of site.toml: unknown keys and wrong types are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=False)
