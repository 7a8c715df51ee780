"""Where each key of a TOML text stands: `tomllib` gives values, not lines.

The text is known to be valid (tomllib has read it), so this scanner only walks: headers, keys, values.
"""

from __future__ import annotations

import tomllib

Where = tuple[str | int, ...]


def lines_of(text: str) -> dict[Where, int]:
    """Path → line (from 1) of every table, key and array element. `text` must be valid TOML."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def line_of(lines: dict[Where, int], where: Where) -> int:
    """Line of a path, or of the nearest thing around it (a missing key → its table's header)."""
    for end in range(len(where), 0, -1):
        if where[:end] in lines:
            return lines[where[:end]]
    return 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.line = 1
        self.lines: dict[Where, int] = {}
        self.arrays: dict[Where, int] = {}  # [[x]] seen so far: path → index of the last element

    def document(self) -> None:
        table: Where = ()
        while True:
            self.blank(newlines=True)
            if self.at >= len(self.text):
                return
            table = self.header() if self.peek() == "[" else self.pair(table)

    def header(self) -> Where:
        line, double = self.line, self.text.startswith("[[", self.at)
        self.skip(2 if double else 1)
        keys = self.key()
        self.skip(2 if double else 1)
        where: Where = ()
        for key in keys[:-1]:
            where = self.element((*where, key))
        where = (*where, keys[-1])
        if double:
            self.lines.setdefault(where, line)
            self.arrays[where] = self.arrays.get(where, -1) + 1
            where = (*where, self.arrays[where])
        self.lines.setdefault(where, line)
        return where

    def element(self, where: Where) -> Where:
        return (*where, self.arrays[where]) if where in self.arrays else where

    def pair(self, table: Where) -> Where:
        """One `key = value`; returns the table it stands in."""
        line, where = self.line, table
        for key in self.key():
            where = (*where, key)
            self.lines.setdefault(where, line)
        self.blank()
        self.skip(1)  # =
        self.blank()
        self.value(where)
        return table

    def key(self) -> list[str]:
        """A bare, quoted or dotted key."""
        keys: list[str] = []
        while True:
            self.blank()
            if self.peek() in ('"', "'"):
                keys.append(tomllib.loads(f"k = {self.string()}")["k"])
            else:
                start = self.at
                while self.peek().isalnum() or self.peek() in ("-", "_"):
                    self.at += 1
                keys.append(self.text[start : self.at])
            self.blank()
            if self.peek() != ".":
                return keys
            self.skip(1)

    def value(self, where: Where) -> None:
        match self.peek():
            case '"' | "'":
                self.string()
            case "[":
                self.array(where)
            case "{":
                self.inline(where)
            case _:
                while self.peek() not in ("", ",", "]", "}", "\n", "#"):
                    self.at += 1

    def array(self, where: Where) -> None:
        self.skip(1)
        index = 0
        while True:
            self.blank(newlines=True)
            if self.peek() == "]":
                return self.skip(1)
            self.lines[(*where, index)] = self.line
            self.value((*where, index))
            index += 1
            self.blank(newlines=True)
            if self.peek() == ",":
                self.skip(1)

    def inline(self, where: Where) -> None:
        self.skip(1)
        while True:
            self.blank(newlines=True)
            if self.peek() == "}":
                return self.skip(1)
            self.pair(where)
            self.blank(newlines=True)
            if self.peek() == ",":
                self.skip(1)

    def string(self) -> str:
        """Walk over a string of any of the four kinds; returns it as written."""
        start, quote = self.at, self.peek()
        long = self.text.startswith(quote * 3, self.at)
        end = quote * 3 if long else quote
        self.skip(len(end))
        while not self.text.startswith(end, self.at):
            self.skip(2 if quote == '"' and self.peek() == "\\" else 1)
        self.skip(len(end))
        while long and self.peek() == quote:  # """" ends with a quote of its own
            self.skip(1)
        return self.text[start : self.at]

    def blank(self, *, newlines: bool = False) -> None:
        """Walk over spaces and comments, and line ends where they mean nothing."""
        while self.peek() in (" ", "\t", "#") or (newlines and self.peek() == "\n"):
            if self.peek() == "#":
                while self.peek() not in ("", "\n"):
                    self.at += 1
            else:
                self.skip(1)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, count: int) -> None:
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at += count
