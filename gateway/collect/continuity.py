"""The engine's continuity decisions as events."""

from __future__ import annotations

from typing import Any

from engine.event import Event
from engine.ledger import Continuity


def event_of(decision: Continuity) -> Event:
    """Registers in Wh (varh), as a person reads them on the meter."""
    data: dict[str, Any] = {"quantity": decision.quantity, **decision.data}
    for key, value in (("before", decision.before), ("after", decision.after)):
        if value is not None:
            data[key] = value / 1000
    return Event(decision.t_ms, decision.kind, meter=decision.meter, data=data)
