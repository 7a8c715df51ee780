"""The files and devices that a configuration names, as this user on this box sees them."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import ConfigError
from gateway.site.problem import Problem
from gateway.site.secret import exposed_to_others, read_secret
from gateway.site.settings import Settings

USERS = {"mqtt": "wattledger-uplink", "web": "wattledger-web"}


def file_problems(settings: Settings) -> tuple[list[Problem], list[Problem]]:
    """Errors (a file that does not exist) and warnings (not readable here, readable for everyone, no such line)."""
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for where, file in _named(settings):
        _named_file(where, file, errors, warnings)
    for index, bus in enumerate(settings.bus):
        if bus.device and not Path(bus.device).exists():
            message = f'bus "{bus.id}": there is no {bus.device} on this box'
            warnings.append(Problem(("bus", index, "device"), message, "one of: ls -l /dev/serial/by-path"))
    return errors, warnings


def own_file_problems(settings: Settings, process: str) -> list[Problem]:
    """What keeps `process`, which runs as this user, from the files that are its own. Secrets are read once."""
    problems = []
    for where, file in _named(settings):
        if USERS[where[0]] != f"wattledger-{process}":
            continue
        try:
            if where[1] == "password_file":
                read_secret(file, USERS[where[0]])
            else:
                file.open("rb").close()
        except ConfigError as error:
            problems.append(Problem(where, str(error), f"its name right, or: {error.hint}"))
        except OSError as error:
            problems.append(Problem(where, f"{file}: {error.strerror}", f"its name right, or look: ls -l {file}"))
    return problems


def _named(settings: Settings) -> list[tuple[tuple[str, str], Path]]:
    """Every file that a table names, with its path of keys."""
    keys = [("mqtt", key) for key in ("password_file", "ca_file", "cert_file", "key_file")]
    found = ((where, getattr(getattr(settings, where[0]), where[1])) for where in [*keys, ("web", "password_file")])
    return [(where, file) for where, file in found if file is not None]


def _named_file(where: tuple[str, str], file: Path, errors: list[Problem], warnings: list[Problem]) -> None:
    user, (table, key) = USERS[where[0]], where
    secret = key in ("password_file", "key_file")
    try:
        exposed = exposed_to_others(file)
    except FileNotFoundError:
        errors.append(Problem(where, f"[{table}] {key}: {file} does not exist", "the path of an existing file"))
        return
    except OSError as error:
        warnings.append(Problem(where, f"[{table}] {key}: {file}: {error.strerror}, so it was not looked at"))
        return
    if secret and exposed:
        message = f"[{table}] {key}: every user of this box can read {file}"
        warnings.append(Problem(where, f"{message}: sudo chown {user}: {file} && sudo chmod 600 {file}"))
    elif not secret and not os.access(file, os.R_OK):
        warnings.append(Problem(where, f"[{table}] {key}: {file} is not readable for this user: ls -l {file}"))
