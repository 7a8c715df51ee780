"""The uplink's own state in the words of the page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.site.settings import Settings

State = Literal[
    "none", "up_to_date", "catching_up", "connecting", "offline", "refused", "nobody", "stopped", "never"
]
SPARE_ROWS = 50
USUAL_COMMITS = 3


@dataclass(frozen=True, slots=True)
class Upload:
    """`backlog` rows, `cursor` seq per stream; `detail` and `hint` in both languages, {} if all is well."""

    state: State
    broker: str
    proof: str = ""
    backlog: Mapping[str, int] = field(default_factory=dict)
    cursor: Mapping[str, int] = field(default_factory=dict)
    detail: Mapping[str, str] = field(default_factory=dict)
    hint: Mapping[str, str] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Rows of all streams that are not proven received."""
        return sum(self.backlog.values())


def usual_backlog(settings: Settings) -> int:
    """Rows that wait although all is well: what a few commits bring at once."""
    commit_ms = settings.store.commit_interval
    readings = sum(commit_ms / meter.interval for meter in settings.meter)
    return SPARE_ROWS + round(USUAL_COMMITS * (readings + len(settings.meter)))


def upload_of(state: Mapping[str, Any] | None, settings: Settings) -> Upload:
    """`state` as the uplink keeps it in `uplink.db`; None before its first run."""
    if not settings.mqtt.streams:
        return Upload("none", settings.mqtt.url)
    if state is None:
        return Upload("never", settings.mqtt.url)
    streams = state["streams"]
    error = state["error"] or {}
    return Upload(
        _state(state, usual_backlog(settings)),
        state["broker"],
        state["proof"],
        {name: stream["waiting"] for name, stream in streams.items()},
        {name: stream["cursor"] for name, stream in streams.items()},
        error.get("text", {}),
        error.get("hint", {}),
    )


def _state(state: Mapping[str, Any], usual: int) -> State:
    streams = state["streams"].values()
    if not state["running"]:
        return "stopped"
    if not state["connected"]:
        if state["error"] is None:
            return "connecting"
        return "refused" if state["error"]["severity"] == "error" else "offline"
    if any(stream["no_subscriber"] for stream in streams):
        return "nobody"
    if any(stream["stuck"] or stream["history_differs"] for stream in streams):
        return "refused"
    waiting = sum(stream["waiting"] for stream in streams)
    return "catching_up" if waiting > usual else "up_to_date"
