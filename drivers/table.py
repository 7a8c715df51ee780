"""Reads a TOML table key by key, says where a value is wrong, and refuses keys that nobody asked for."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from typing import Any

from engine.errors import ConfigError

_MISSING: Any = object()


class Table:
    """One TOML table at `where` (file and row, for messages). Every method raises ConfigError."""

    def __init__(self, where: str, content: object) -> None:
        if not isinstance(content, dict):
            raise ConfigError(f"{where}: a table is expected, not {content!r}")
        self.where = where
        self._left: dict[str, Any] = dict(content)

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def wrong(self, message: str, hint: str = "") -> ConfigError:
        return ConfigError(f"{self.where}: {message}", hint=hint)

    def take(self, key: str, default: Any = _MISSING) -> Any:
        if key in self._left:
            return self._left.pop(key)
        if default is _MISSING:
            raise self.wrong(f"{key} is missing")
        return default

    def text(self, key: str, default: str = _MISSING) -> str:
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self.wrong(f'{key} must be text in quotes, not {value!r}')
        return value

    def choice(self, key: str, options: Collection[str], default: str = _MISSING) -> str:
        value = self.take(key, default)
        if value not in options:
            raise self.wrong(f"{key} = {value!r} is unknown", hint="write one of: " + ", ".join(options))
        return str(value)

    def number(self, key: str, low: int, high: int, default: int = _MISSING) -> int:
        value = self.take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(f"{key} must be a whole number from {low} to {high}, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} must be true or false, not {value!r}")
        return value

    def exact(self, key: str, default: str = _MISSING) -> Fraction:
        """A number or a text such as "1/800"; zero is refused."""
        value = self.take(key, default)
        try:
            if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
                raise ValueError(value)
            found = Fraction(value)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise self.wrong(f'{key} must be a number such as 0.1, 1000 or "1/800", not {value!r}') from error
        if not found:
            raise self.wrong(f"{key} must not be zero")
        return found

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.take(key, default)
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f'{key} must be a list of texts such as ["a", "b"], not {value!r}')
        return tuple(value)

    def items(self, key: str) -> list[Any]:
        value = self.take(key, [])
        if not isinstance(value, list):
            raise self.wrong(f"{key} must be a list, not {value!r}")
        return value

    def table(self, key: str) -> Table | None:
        """The table under `key`, or None where it is not given."""
        value = self.take(key, None)
        return None if value is None else Table(f"{self.where}, {key}", value)

    def names(self) -> tuple[str, ...]:
        """Keys not taken yet; for tables whose keys are names."""
        return tuple(self._left)

    def rest(self) -> dict[str, Any]:
        """What is left, taken as it is."""
        left, self._left = self._left, {}
        return left

    def end(self) -> None:
        if self._left:
            raise self.wrong("unknown key " + ", ".join(sorted(self._left)))
