"""Whatever a finger slips on: a spoilt site.toml is taken, or refused with its lines, and never a crash."""

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.site.check import check_here
from gateway.site.file import parse
from gateway.site.problem import SiteFileError, with_lines
from gateway.site.settings import Settings

EXAMPLE = (Path(__file__).parents[3] / "config/site.example.toml").read_text()
FILE = Path("/etc/wattledger/site.toml")
SLIPS = [
    '"', "'", "[", "]", "{", "}", "=", ".", "#", "\n", "\\", '"""', "'''", "[[", "]]", "\t", "\r", "-", ",", "1", "ä",
    "\x00", "true", "id", "[meter]\n", "[[meter]]\n", "[bus.x]\n", "1979-05-27\n", "inf", "0x10", "_",
]  # fmt: skip
LEAVES = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=8).map(lambda text: f'"{text.encode().hex()}"')
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def spoil(seed: int, slips: int) -> str:
    chance, text = random.Random(seed), EXAMPLE
    for _ in range(slips):
        at = chance.randrange(len(text))
        match chance.randrange(4):
            case 0:
                text = text[:at] + chance.choice(SLIPS) + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randrange(1, 5) :]
            case 2:
                lines = text.splitlines(keepends=True)
                lines.insert(chance.randrange(len(lines)), chance.choice(lines))
                text = "".join(lines)
            case _:
                lines = text.splitlines(keepends=True)
                del lines[chance.randrange(len(lines))]
                text = "".join(lines)
    return text


def taken(text: str) -> Settings | None:
    """The settings, or None where they were refused in due form."""
    try:
        return parse(text, FILE)
    except SiteFileError as error:
        refusal = error
    last = text.count("\n") + 1
    assert refusal.problems
    assert all(1 <= p.line <= last for p in refusal.problems), refusal
    assert all(p.message for p in refusal.problems)
    return None


def test_spoilt_files_are_taken_or_refused_but_never_crash() -> None:
    refused = 0
    for seed in range(600):
        found = taken(spoil(seed, 1 + seed % 4))
        refused += found is None
        if found is not None and seed % 10 == 0:
            with_lines(check_here(found).errors, found.text)
    assert 100 < refused < 600


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_refused_in_due_form(text: str) -> None:
    assert taken(text) is None or "site" in text


@settings(max_examples=200, deadline=None)
@given(VALUES, st.sampled_from(["site", "store", "mqtt", "web", "carbon", "bus", "meter"]))
def test_any_value_in_any_place_is_refused_in_due_form(value: object, name: str) -> None:
    assert taken(f"{name} = {toml(value)}\n") is None
    found = taken(f'site = {{id = "a", name = {toml(value)}}}\n')
    assert (found is not None) == isinstance(value, str)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    return str(value)
