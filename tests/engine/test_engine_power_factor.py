"""Power factor from energies."""

from __future__ import annotations

import pytest

from engine.power_factor import power_factor


@pytest.mark.parametrize(
    ("energies", "expected"),
    [
        ((120_000, 0, 30_000, 20_000), 0.9230769230769231),  # net Q would show 0.9965
        ((3, 0, 4, 0), 0.6),
        ((1, 2, 0, -4), 0.6),
        ((3, None, None, 4), 0.6),
        ((0, 0, 5, 0), 0.0),
        ((5, 0, 0, 0), 1.0),
        ((9 * 10**18, 0, 0, 0), 1.0),
    ],
)
def test_it_is_active_over_apparent_energy_and_reactive_directions_add_up(
    energies: tuple[int | None, int | None, int | None, int | None], expected: float
) -> None:
    assert power_factor(*energies) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("energies", [(5, 0, None, None), (None, None, 5, 0), (0, 0, 0, 0), (0, None, 0, None)])
def test_it_is_absent_where_it_is_not_known(energies: tuple[int | None, int | None, int | None, int | None]) -> None:
    assert power_factor(*energies) is None
