"""Problem: one thing that is wrong in site.toml, and the error that carries all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import ConfigError
from gateway.site.toml_lines import Where, line_of, lines_of


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at `where` (keys and indexes) and what to write instead; `line` 0 = not known yet."""

    where: Where
    message: str
    instead: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.message}; write {self.instead}" if self.instead else self.message


class SiteFileError(ConfigError):
    """Every problem of a file, in the order of its lines."""

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        shown = [f"{file}:{p.line}: {p}" if p.line else f"{file}: {p}" for p in problems]
        super().__init__("\n".join(shown), hint=f"correct the file, then: wattledger check -c {file}")

    @property
    def reason(self) -> str:
        """One line, for an event."""
        first, more = self.problems[0], len(self.problems) - 1
        where = f"line {first.line}: " if first.line else ""
        return f"{where}{first}" + (f" (and {more} more)" if more else "")


def with_lines(problems: Iterable[Problem], text: str) -> list[Problem]:
    """The problems with their line in `text` (valid TOML), in its order."""
    lines = lines_of(text)
    placed = [p if p.line else replace(p, line=line_of(lines, p.where)) for p in problems]
    return sorted(placed, key=lambda p: p.line)


def nearest(word: str, known: Iterable[str], count: int = 3) -> str:
    """`"press-1" or "press-2"`: what was probably meant, or "" if nothing is near."""
    return " or ".join(f'"{k}"' for k in difflib.get_close_matches(word, list(known), count, 0.6))
