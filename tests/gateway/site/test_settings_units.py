"""Durations, powers and ratios: what is taken, what is refused, and that writing gives back what was read."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.site.units import duration_ms, duration_text, power_mw, power_text, ratio, ratio_text, shown


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("10s", 10_000), ("1.5 s", 1500), ("15m", 900_000), ("15 min", 900_000), ("1h", 3_600_000),
     ("2d", 172_800_000), ("366d", 366 * 86_400_000)],
)  # fmt: skip
def test_a_duration_is_milliseconds(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["10", "s", "", "-1s", "10 sec", "1e3s", "١٠s", "10s\n5m", 10, 10.0, True, None])
def test_a_duration_without_its_unit_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match=r'write "10s" or "15m" instead of'):
        duration_ms(text)


@pytest.mark.parametrize("text", ["0s", "0.5ms", "0.0001s", "367d", "999999999999h"])
def test_a_duration_that_is_no_whole_millisecond_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1ms to 366d"):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "mw"),
    [("250 kW", 250_000_000), ("250kW", 250_000_000), ("1.6 MVA", 1_600_000_000), ("75 W", 75_000), ("1 W", 1000),
     ("0.5 kVA", 500_000)],
)  # fmt: skip
def test_a_power_is_milliwatt(text: str, mw: int) -> None:
    assert power_mw(text) == mw


@pytest.mark.parametrize("text", ["250", "250 kw", "250 KW", "kW", "-5 kW", 250, None])
def test_a_power_without_its_unit_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match='write "250 kW" instead of'):
        power_mw(text)


@pytest.mark.parametrize("text", ["0 kW", "0.1 W", "5001 MW"])
def test_a_power_that_no_feeder_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="between 1 W and 5000 MW"):
        power_mw(text)


@pytest.mark.parametrize(
    ("text", "value"), [("200/5", 40), ("10000/100", 100), ("200:5", 40), ("250/1", 250), ("1/1", 1), ("75 / 5", 15)]
)
def test_a_ratio_is_primary_by_secondary(text: str, value: int) -> None:
    assert ratio(text) == value


def test_a_ratio_that_does_not_divide_stays_exact() -> None:
    assert ratio("100/3") == Fraction(100, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [("5/200", 'write primary first, e.g. "200/5"'), ("40", 'write "200/5" instead of "40"'), (40, "instead of 40"),
     ("200/0", 'write "200/5" instead'), ("9999999/1", "is above 1000000"), ("200/-5", 'write "200/5"')],
)  # fmt: skip
def test_a_wrong_ratio_is_refused_with_what_to_write(text: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        ratio(text)
    assert message in str(caught.value)


@given(st.integers(1, 366 * 86_400_000))
def test_a_written_duration_reads_back(ms: int) -> None:
    assert duration_ms(duration_text(ms)) == ms


@given(st.integers(1000, 5_000_000_000_000))
def test_a_written_power_reads_back_to_the_milliwatt(mw: int) -> None:
    assert power_mw(power_text(mw)) == mw


@given(st.fractions(1, 1000, max_denominator=1000))
def test_a_written_ratio_reads_back(value: Fraction) -> None:
    assert ratio(ratio_text(value)) == value


def test_a_message_never_repeats_a_pasted_megabyte_or_a_terminal_code() -> None:
    assert len(shown("x" * 1_000_000)) == 38
    assert shown("\x1b[31mred") == '"�[31mred"'
