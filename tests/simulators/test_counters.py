"""Every counter of the vocabulary is a fixed function of the integrals."""

import pytest

from engine.quantity import QUANTITIES
from simulators.counters import Counters, Term, term
from simulators.load_shape import Load
from simulators.true_energy import TrueEnergy

START_MS = 1_767_603_600_000  # 2026-01-05T09:00:00Z
HOUR_MS = 3_600_000
SHARES = (500, 300, 200)


def there_and_back(t_ms: int) -> tuple[int, int]:
    """1 kW in for an hour, then 3 kW out; reactive 400 var in, then 100 var out."""
    return (1_000_000, 400_000) if t_ms < START_MS + HOUR_MS else (-3_000_000, -100_000)


def counters(load: Load = there_and_back, tariffs: int = 1) -> Counters:
    energy = TrueEnergy(load, START_MS, tariffs=tariffs)
    starts = {"active_energy_import": 70, "active_energy_export": 30, "reactive_energy_import": 5}
    made = Counters(energy, SHARES, starts, tariffs=tariffs)
    energy.advance(START_MS + 2 * HOUR_MS)
    return made


@pytest.mark.parametrize(
    ("quantity", "mwh"),
    [
        ("active_energy_import", 1_000_070),
        ("active_energy_export", 3_000_030),
        ("active_energy_total", 4_000_100),
        ("active_energy_net", -1_999_960),
        ("reactive_energy_import", 400_005),
        ("reactive_energy_export", 100_000),
        ("reactive_energy_total", 500_005),
        ("active_energy_import_l1", 500_035),
        ("active_energy_export_l3", 600_006),
        ("active_energy_import_t1", 1_000_070),
        ("active_energy_import_t2", 0),
        ("yield_energy_total", 3_000_030),
    ],
)
def test_a_counter_is_made_of_its_integrals(quantity: str, mwh: int) -> None:
    made_of = term(quantity)
    assert made_of is not None
    assert counters().mwh(made_of) == mwh


def test_apparent_energy_is_the_integral_of_s() -> None:
    made_of = term("apparent_energy")
    assert made_of is not None
    assert counters(lambda _: (3_000_000, -4_000_000)).mwh(made_of) == 10_000_000


def test_only_what_the_plant_does_not_know_has_no_make_up() -> None:
    unknown = {q.id for q in QUANTITIES.values() if q.kind == "counter" and term(q.id) is None}
    assert {name.split("_l")[0].split("_t")[0] for name in unknown} == {"apparent_energy_export"}


def test_a_reset_and_a_placed_counter_count_on_from_there() -> None:
    made, imported = counters(), Term(0)
    made.place(imported, 999)
    assert made.mwh(imported) == 999
    made.reset()
    assert (made.mwh(imported), made.mwh(Term(1)), made.mwh(Term(0, 1))) == (0, 0, 0)


def test_a_sum_or_a_phase_cannot_be_placed() -> None:
    for made_of in (Term(0, 1), Term(0, phase=1)):
        with pytest.raises(ValueError, match="only a plain import or export counter"):
            counters().place(made_of, 0)


def test_a_start_value_for_a_derived_counter_is_refused() -> None:
    energy = TrueEnergy(there_and_back, START_MS)
    with pytest.raises(ValueError, match="active_energy_net"):
        Counters(energy, SHARES, {"active_energy_net": 1})
