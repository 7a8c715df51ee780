"""What tomllib and pydantic found, in the words of site.toml: what is wrong, what to write instead. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from gateway.site.fields import Table
from gateway.site.plant import Bus, Meter
from gateway.site.problem import Problem, nearest
from gateway.site.settings import Carbon, Mqtt, Site, Store, Web
from gateway.site.toml_lines import Where
from gateway.site.units import shown

SINGLE: dict[str, type[Table]] = {"site": Site, "store": Store, "mqtt": Mqtt, "web": Web, "carbon": Carbon}
LISTS: dict[str, type[Table]] = {"bus": Bus, "meter": Meter}
_CURES = {
    "Invalid value": 'text in quotes (key = "…"), true or false in small letters',
    "Expected newline or end": 'text in quotes: host = "10.0.0.7", interval = "10s"',
    "Expected '='": "key = value",
    "Cannot overwrite": "each key once",
    "Cannot declare": "each [table] once; [[bus]] and [[meter]] with two brackets",
    "Illegal character": 'the closing quote on the same line: "…"',
    "Unescaped": "single quotes around text with a backslash: '…'",
    "Unclosed": "the closing bracket",
    "Unterminated": "the closing quotes",
    "Expected ']'": "[table], or [[bus]] and [[meter]] with two brackets",
    "Exceeds": "a number that fits its meaning",
}


def syntax_problem(error: Exception, text: str) -> Problem:
    """Of a text that is no TOML at all."""
    message = "brackets are nested too deeply" if isinstance(error, RecursionError) else str(error)
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = 1
    if place:
        line = int(place[1]) if place[1] else text.rstrip("\n").count("\n") + 1
        message = message[: place.start()]
    cure = next((cure for start, cure in _CURES.items() if message.startswith(start)), "")
    return Problem((), f"not valid TOML: {message[:80]}", cure, line)


def problem_of(model: type[Table], value: Mapping[str, Any], where: Where, detail: ErrorDetails) -> Problem:
    """pydantic's finding in the words of the file."""
    loc, context = detail["loc"], detail.get("ctx", {})
    name = _name(where, value)
    key = str(loc[0]) if loc else str(context.get("key", ""))
    if detail["type"] == "missing":
        return Problem(where, f"{name}: {key} is missing", f"{key} = {_sample(key)}")
    if detail["type"] == "extra_forbidden":
        return Problem((*where, key), f'{name}: unknown key "{key}"', _instead_of_key(model, key))
    message, instead = _finding(key, detail)
    path = (*where, *loc) if loc else (*where, key)
    return Problem(path, f"{name} {key}: {message}" if loc else f"{name}: {message}", instead)


def _finding(key: str, detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong with the value of `key`, and what to write instead."""
    context, given = detail.get("ctx", {}), shown(detail["input"])
    match detail["type"]:
        case "refused":
            return context["message"], context["instead"]
        case "value_error":
            return str(context["error"]), ""
        case "literal_error":
            return f"{given} is not known", _choices(detail)
        case "string_pattern_mismatch" if key in ("id", "gateway", "bus", "parent"):
            return f"{given} is no id: a-z, 0-9 and -, at most 40", f'e.g. "{_as_id(detail["input"])}"'
        case "string_pattern_mismatch":
            return f"{given} holds a control character", "plain text on one line"
        case "string_too_long":
            return f"{given} is too long", f"at most {context['max_length']} characters"
        case "greater_than_equal":
            return f"{given} is too small", f"{context['ge']} or more"
        case "less_than_equal":
            return f"{given} is too large", f"{context['le']} or less"
        case _:
            return f"{given} has the wrong type", _sample(key)


def near_or_all(key: str, known: Iterable[str]) -> str:
    """What was probably meant, or everything there is."""
    words = list(known)
    return nearest(key, words) or "one of " + ", ".join(words)


def _name(where: Where, value: Mapping[str, Any]) -> str:
    """How a table is called in a message: `[mqtt]`, `meter "press-1"`, `[[meter]] number 3`."""
    if len(where) == 1:
        return f"[{where[0]}]"
    id_ = value.get("id")
    if isinstance(id_, str) and id_:
        return f"{where[0]} {shown(id_)}"
    return f"[[{where[0]}]] number {int(where[1]) + 1}"


def _instead_of_key(model: type[Table], key: str) -> str:
    if key == "password" and "password_file" in model.model_fields:
        return 'password_file = "…": the password stands in that file, never in this one'
    near = nearest(key, model.model_fields)
    homes = [name for name, other in (SINGLE | LISTS).items() if key in other.model_fields]
    if not near and homes:
        return f"it under [{'] or ['.join(homes)}], where it belongs"
    return near or near_or_all(key, model.model_fields)


def _choices(detail: ErrorDetails) -> str:
    """The words that a closed list allows, the nearest first choice."""
    words = re.findall(r"'([^']*)'|\b([0-9]+)\b", str(detail.get("ctx", {}).get("expected", "")))
    near = nearest(str(detail["input"]), [text for text, _ in words if text], 1)
    return near or " or ".join(f'"{text}"' if text else number for text, number in words)


def _as_id(value: object) -> str:
    """The nearest thing to `value` that is an id."""
    return re.sub("[^a-z0-9]+", "-", str(value).lower()).strip("-")[:40].strip("-") or "press-1"


_SAMPLES = {
    "id": '"press-1"', "gateway": '"gw-1"', "address": "1", "profile": '"eastron-sdm630"', "port": "502",
    "protocol": '"modbus-tcp"', "baud": "9600", "stop_bits": "1", "retention_years": "5", "ioa_base": "0",
    "open": "true or false", "reverse": "true or false", "streams": '["intervals", "events", "readings"]',
    "profiles": '["ghgp-location"]', "version": '"5"',
}  # fmt: skip


def _sample(key: str) -> str:
    return _SAMPLES.get(key, 'text in quotes: "…"')
