"""The configuration a process last ran with: what it runs on when the file is bad (docs/decisions/0004).

Each of collect, uplink and web keeps its own copy: `last-good.{process}.toml` in $WATTLEDGER_STATE, which the
units set; without it `.{name}.last-good.{process}` beside the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from engine.errors import ConfigError, GatewayError, StoreError
from gateway.site.file import load, parse, read_text
from gateway.site.problem import Problem, SiteFileError, with_lines
from gateway.site.settings import Settings

Process = Literal["collect", "uplink", "web"]
Judge = Callable[[Settings], Sequence[Problem]]


def load_or_last_good(
    file: Path, process: Process, judge: Judge, env: Mapping[str, str] = os.environ
) -> tuple[Settings, ConfigError | None]:
    """The settings of `file`, or of the last good copy and why the file was rejected.

    `judge` gives what speaks against settings that are valid in themselves (`check.problems_for(process)`).
    Raises the ConfigError of the file if there is no copy that can be used either.
    """
    try:
        return _judged(load(file), file, judge), None
    except ConfigError as rejected:
        copy = copy_path(file, process, env)
        try:
            return _judged(parse(read_text(copy), file), file, judge), rejected
        except GatewayError:
            raise rejected from None  # a first start with a bad file, or a copy that does not fit either


def keep_last_good(settings: Settings, process: Process, env: Mapping[str, str] = os.environ) -> Path:
    """Write the copy, safe against a power cut; call it once the process runs on `settings`.

    Raises StoreError if the directory does not take it: the process runs, but has nothing to fall back on.
    """
    if settings.file is None:
        raise StoreError("settings without a file have no last good copy")
    copy = copy_path(settings.file, process, env)
    text = settings.text.encode()
    temp = copy.with_name(f"{copy.name}.{os.getpid()}.new")
    try:
        if copy.exists() and copy.read_bytes() == text:
            return copy
        with temp.open("wb") as stream:
            os.fchmod(stream.fileno(), 0o640)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temp.replace(copy)
        _sync_directory(copy.parent)
    except OSError as error:
        temp.unlink(missing_ok=True)
        hint = f"let this user write there, or set WATTLEDGER_STATE to its directory: ls -ld {copy.parent}"
        message = f"{copy}: the last good configuration cannot be kept: {error.strerror}"
        raise StoreError(message, hint=hint) from error
    return copy


def copy_path(file: Path, process: Process, env: Mapping[str, str] = os.environ) -> Path:
    """Where the copy of one process stands."""
    state = env.get("WATTLEDGER_STATE")
    if state:
        return Path(state) / f"last-good.{process}.toml"
    absolute = file.absolute()
    return absolute.with_name(f".{absolute.name}.last-good.{process}")


def _judged(settings: Settings, file: Path, judge: Judge) -> Settings:
    problems = judge(settings)
    if problems:
        raise SiteFileError(file, with_lines(problems, settings.text))
    return settings


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
