"""site.toml from disk: find it, read it, or refuse it: file, line, what is wrong, what to write instead.

All problems come at once (`SiteFileError`). Relative paths in the file are relative to the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import ConfigError
from gateway.site.fields import Table
from gateway.site.problem import Problem, SiteFileError, with_lines
from gateway.site.rules import own_bus_clashes, rules
from gateway.site.settings import Settings
from gateway.site.toml_lines import Where
from gateway.site.words import LISTS, SINGLE, near_or_all, problem_of, syntax_problem

PLACES = (Path("site.toml"), Path("/etc/wattledger/site.toml"))
SIZE_MAX = 1 << 20
PATHS = {"store": ("path", "runtime"), "mqtt": ("password_file", "ca_file", "cert_file", "key_file"),
         "web": ("password_file",)}  # fmt: skip


def find(given: str | Path | None = None, env: Mapping[str, str] = os.environ) -> Path:
    """The file to use: `given`, $WATTLEDGER_CONFIG, or the first of PLACES there is. Raises ConfigError."""
    named = given or env.get("WATTLEDGER_CONFIG")
    if named:
        return Path(named)
    for place in PLACES:
        if place.exists():
            return place
    raise ConfigError(
        "no configuration: neither ./site.toml nor /etc/wattledger/site.toml exists",
        hint="write one: wattledger config example > site.toml, or name one: wattledger … -c FILE",
    )


def load(file: Path) -> Settings:
    """Read and validate. Raises SiteFileError with every problem, or ConfigError if it cannot be read."""
    return parse(read_text(file), file)


def read_text(file: Path) -> str:
    """The text of a configuration. Raises ConfigError, SiteFileError."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(SIZE_MAX + 1)
    except FileNotFoundError as error:
        hint = f"write one: wattledger config example > {file}"
        raise ConfigError(f"{file}: no such file", hint=hint) from error
    except PermissionError as error:
        raise ConfigError(f"{file}: not permitted for this user", hint=f"look: ls -l {file}; id") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", hint=f"look: ls -ld {file}") from error
    if len(raw) > SIZE_MAX:
        raise ConfigError(f"{file}: larger than 1 MiB, this is no configuration", hint=f"look: head {file}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem((), "this is not UTF-8 text", "the file again as UTF-8 in your editor", line)
        raise SiteFileError(file, [problem]) from error


def parse(text: str, file: Path) -> Settings:
    """Validate `text`, which stands in `file`: its directory is the base of paths. Raises SiteFileError."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SiteFileError(file, [syntax_problem(error, text)]) from error
    problems, tables = _tables(data)
    buses, meters = (_dicts(data.get(name)) for name in LISTS)
    problems += rules(buses, meters)
    if problems:
        raise SiteFileError(file, with_lines(problems, text))
    settings = Settings(**_absolute(tables, file.absolute().parent)).read_from(file, text)
    if clashes := own_bus_clashes(settings):
        raise SiteFileError(file, with_lines(clashes, text))
    return settings


def _absolute(tables: dict[str, Any], base: Path) -> dict[str, Any]:
    """Relative paths, resolved against the directory of the file."""
    done = dict(tables)
    for name, keys in PATHS.items():
        if name in done:
            found = {key: base / path for key in keys if (path := getattr(done[name], key)) is not None}
            done[name] = done[name].model_copy(update=found)
    return done


def _dicts(value: object) -> list[dict[str, Any]]:
    """The tables of an array of tables; [] where it is something else, which is refused elsewhere."""
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


def _tables(data: Mapping[str, Any]) -> tuple[list[Problem], dict[str, Any]]:
    """Each table by itself, so that a wrong one hides nothing: problems, and the valid models."""
    problems: list[Problem] = []
    tables: dict[str, Any] = {}
    known = [*SINGLE, *LISTS]
    for name, value in data.items():
        if name in SINGLE:
            if isinstance(value, dict):
                _one(SINGLE[name], value, (name,), problems, tables)
            else:
                problems.append(Problem((name,), f"{name} is a table", f"[{name}]"))
        elif name in LISTS:
            if isinstance(value, list) and all(isinstance(item, dict) for item in value):
                for index, item in enumerate(value):
                    _one(LISTS[name], item, (name, index), problems, tables)
            else:
                problems.append(Problem((name,), f"{name} is a list of tables", f"[[{name}]] for each"))
        else:
            problems.append(Problem((name,), f'unknown table or key "{name}"', near_or_all(name, known)))
    if "site" not in data:
        problems.append(Problem((), "the table [site] is missing", '[site] with id = "plant-1"', 1))
    return problems, tables


def _one(
    model: type[Table], value: dict[str, Any], where: Where, problems: list[Problem], tables: dict[str, Any]
) -> None:
    try:
        valid = model.model_validate(value)
    except ValidationError as error:
        problems.extend(problem_of(model, value, where, detail) for detail in error.errors())
        return
    if len(where) == 1:
        tables[str(where[0])] = valid
    else:
        tables.setdefault(str(where[0]), []).append(valid)
