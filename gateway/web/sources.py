"""What the page reads, as this room sees it: live file, ledger and the state of the uplink, all read-only."""

from __future__ import annotations

from typing import Any, Protocol

Row = dict[str, Any]  # a contract row


class Live(Protocol):
    """The live file. `read` parses only when the file changed and then returns a new object."""

    def read(self) -> Row | None: ...

    def age_ms(self) -> int | None: ...
