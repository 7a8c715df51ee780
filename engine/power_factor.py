"""Power factor of an interval, a day or a month: from energies, never as a mean of power factors."""

from __future__ import annotations

import math


def power_factor(
    import_mwh: int | None,
    export_mwh: int | None,
    reactive_import_mvarh: int | None,
    reactive_export_mvarh: int | None,
) -> float | None:
    """A / √(A² + R²), 0..1, with A = import + export and R = |reactive import| + |reactive export|.

    A direction that the meter does not have (None) counts as nothing; None if both reactive energies or both
    active ones are unknown, or if nothing flowed. Leading and lagging reactive energy add up: they do not cancel.
    """
    if import_mwh is None and export_mwh is None:
        return None
    if reactive_import_mvarh is None and reactive_export_mvarh is None:
        return None
    active = (import_mwh or 0) + (export_mwh or 0)
    reactive = abs(reactive_import_mvarh or 0) + abs(reactive_export_mvarh or 0)
    if active + reactive == 0:
        return None
    return active / math.hypot(active, reactive)
