"""What the page reads, as this room sees it: live file, ledger and the state of the uplink, all read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.store.rows import Row, Stream


class Live(Protocol):
    """The live file. `read` parses only when the file changed and then returns a new object."""

    def read(self) -> Row | None: ...

    def age_ms(self) -> int | None: ...


class Sizes(Protocol):
    """Bytes of the ledger and of its -wal."""

    @property
    def ledger(self) -> int: ...

    @property
    def wal(self) -> int: ...


class Ledger(Protocol):
    """The ledger in bounded pages. Every method raises StoreError where there is nothing to read."""

    def intervals(
        self, meter: str | None, from_ms: int, to_ms: int, limit: int, after_seq: int
    ) -> list[Row]: ...

    def readings(
        self, meter: str | None, from_ms: int, to_ms: int, limit: int, after_seq: int
    ) -> list[Row]: ...

    def events(
        self, from_ms: int, to_ms: int, limit: int, after_seq: int, *, newest_first: bool = False
    ) -> list[Row]: ...

    def last_seq(self, stream: Stream) -> int: ...

    def query(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]: ...

    def sizes(self) -> Sizes: ...

    def close(self) -> None: ...
