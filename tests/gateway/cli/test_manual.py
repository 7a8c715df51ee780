"""docs/cli.md is what the parsers say; every command explains itself; what is unknown is refused with a way on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.__main__ import COMMANDS, main
from gateway.cli.manual import manual

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def _words(text: str) -> list[str]:
    """Python versions wrap and shorten options differently; the words stay."""
    return re.sub(r"-(\w), --(\w+) [A-Z]+", r"-\1 --\2", text).replace("-c FILE, --config", "-c, --config").split()


def test_the_page_is_what_the_parsers_say() -> None:
    written = PAGE.read_text(encoding="utf-8")
    again = "write it again: python -m gateway.cli.manual > docs/cli.md"
    assert set(_words(written)) == set(_words(manual())), again
    for name in COMMANDS:
        assert f"\n## {name}\n" in written


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"wattledger {name}" in capsys.readouterr().out


def test_without_a_command_the_list_is_shown_and_that_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    assert main(["--help"]) == 0


def test_an_unknown_command_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["staus"]) == 2
    assert "wattledger status" in capsys.readouterr().err


def test_version_names_every_library_that_figures_depend_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    said = capsys.readouterr().out
    for library in ("pymodbus", "c104", "paho-mqtt", "numpy", "numba", "sqlite-utils", "fastapi", "uvicorn"):
        assert library in said
