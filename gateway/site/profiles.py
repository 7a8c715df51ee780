"""Meter profiles on the disk: the shipped `config/profiles/*.toml`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from drivers.profile import MeterProfile, parse_profile
from engine.errors import ConfigError
from gateway.paths import data_dir


def profile_texts(directory: Path | None = None) -> dict[str, str]:
    """Every profile's text by id, sorted. Raises ConfigError where a file cannot be read."""
    folder = directory or data_dir("config") / "profiles"
    texts = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            texts[path.stem] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}", hint=f"look at it: ls -l {path}") from error
    return texts


def load_profile(name: str, directory: Path | None = None) -> MeterProfile:
    """The profile `name`. Raises ConfigError with the nearest names if there is none."""
    texts = profile_texts(directory)
    if name not in texts:
        found = nearest(name, texts)
        hint = "did you mean " + " or ".join(found) + "?" if found else "see: wattledger profile list"
        raise ConfigError(f'unknown profile "{name}"', hint=hint)
    return parse_profile(name, texts[name])


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first; a model number alone finds its profile."""
    known = sorted(names)
    inside = [other for other in known if name.lower() and name.lower() in other]
    close = difflib.get_close_matches(name.lower(), known, n=count, cutoff=0.5)
    return list(dict.fromkeys([*inside, *close]))[:count]
