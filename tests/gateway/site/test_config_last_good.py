"""The last good configuration: kept, used with a bad file, never in place of a good one, written whole or not."""

import os
from pathlib import Path

import pytest

from engine.errors import ConfigError, StoreError
from gateway.site.file import load
from gateway.site.last_good import copy_path, keep_last_good, load_or_last_good
from gateway.site.problem import Problem, SiteFileError
from gateway.site.settings import Settings

FIRST = '[site]\nid = "plant-7"\n[store]\npath = "data"\n'
SECOND = FIRST.replace("plant-7", "plant-8")
BAD = FIRST + 'colour = "red"\n'
ENV: dict[str, str] = {}


def nothing_against(settings: Settings) -> list[Problem]:
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "etc" / "site.toml"
    file.parent.mkdir()
    file.write_text(FIRST)
    return file


def test_a_good_file_is_used_and_kept(file: Path) -> None:
    settings, rejected = load_or_last_good(file, "collect", nothing_against, ENV)
    assert rejected is None
    copy = keep_last_good(settings, "collect", ENV)
    assert copy == file.parent / ".site.toml.last-good.collect"
    assert copy.read_text() == FIRST
    assert oct(copy.stat().st_mode & 0o777) == "0o640"
    assert sorted(p.name for p in file.parent.iterdir()) == [copy.name, "site.toml"]


def test_a_first_start_with_a_bad_file_is_refused(file: Path) -> None:
    file.write_text(BAD)
    with pytest.raises(SiteFileError, match='unknown key "colour"'):
        load_or_last_good(file, "collect", nothing_against, ENV)


@pytest.mark.parametrize("bad", [BAD, "[site\n", "", "[site]\nid = 7\n"])
def test_a_bad_file_leaves_the_last_good_one_in_force(file: Path, bad: str) -> None:
    keep_last_good(load(file), "uplink", ENV)
    file.write_text(bad)
    settings, rejected = load_or_last_good(file, "uplink", nothing_against, ENV)
    assert isinstance(rejected, SiteFileError)
    assert settings.text == FIRST
    assert settings.file == file
    assert settings.store.path == file.parent / "data"  # relative to the file, not to the copy


def test_a_missing_file_leaves_the_last_good_one_in_force(file: Path) -> None:
    keep_last_good(load(file), "web", ENV)
    file.unlink()
    settings, rejected = load_or_last_good(file, "web", nothing_against, ENV)
    assert settings.site.id == "plant-7"
    assert str(rejected) == f"{file}: no such file"


def test_a_file_that_the_check_refuses_is_a_bad_file(file: Path) -> None:
    def plant_8_is_refused(settings: Settings) -> list[Problem]:
        return [Problem(("site", "id"), "no such plant")] if settings.site.id == "plant-8" else []

    keep_last_good(load(file), "collect", ENV)
    file.write_text(SECOND)
    settings, rejected = load_or_last_good(file, "collect", plant_8_is_refused, ENV)
    assert settings.site.id == "plant-7"
    assert str(rejected) == f"{file}:2: no such plant"


def test_each_process_has_a_copy_of_its_own(file: Path) -> None:
    keep_last_good(load(file), "collect", ENV)
    file.write_text(SECOND)
    keep_last_good(load(file), "web", ENV)
    file.write_text(BAD)
    assert load_or_last_good(file, "collect", nothing_against, ENV)[0].site.id == "plant-7"
    assert load_or_last_good(file, "web", nothing_against, ENV)[0].site.id == "plant-8"
    with pytest.raises(ConfigError):
        load_or_last_good(file, "uplink", nothing_against, ENV)


def test_a_good_file_wins_over_the_copy_and_replaces_it(file: Path) -> None:
    keep_last_good(load(file), "collect", ENV)
    file.write_text(SECOND)
    settings, rejected = load_or_last_good(file, "collect", nothing_against, ENV)
    assert (settings.site.id, rejected) == ("plant-8", None)
    assert keep_last_good(settings, "collect", ENV).read_text() == SECOND


def test_a_copy_that_fits_no_more_is_no_way_out(file: Path) -> None:
    keep_last_good(load(file), "collect", ENV).write_text("[site]\nformer = 1\n")
    file.write_text(BAD)
    with pytest.raises(SiteFileError, match="colour"):
        load_or_last_good(file, "collect", nothing_against, ENV)


def test_the_state_directory_of_a_unit_holds_the_copy(file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    env = {"WATTLEDGER_STATE": str(state)}
    assert keep_last_good(load(file), "collect", env) == state / "last-good.collect.toml"
    file.write_text(BAD)
    assert load_or_last_good(file, "collect", nothing_against, env)[0].site.id == "plant-7"


def test_two_installations_never_share_a_copy(tmp_path: Path) -> None:
    assert copy_path(tmp_path / "a.toml", "collect", ENV) != copy_path(tmp_path / "b.toml", "collect", ENV)


def test_a_directory_that_cannot_take_the_copy_is_told(file: Path, tmp_path: Path) -> None:
    env = {"WATTLEDGER_STATE": str(tmp_path / "gone")}
    with pytest.raises(StoreError) as caught:
        keep_last_good(load(file), "collect", env)
    assert str(tmp_path / "gone") in str(caught.value)
    assert "WATTLEDGER_STATE" in caught.value.hint


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_disk_that_fails_at_any_step_leaves_the_old_copy_whole(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    copy = keep_last_good(load(file), "collect", ENV)
    file.write_text(SECOND)
    settings = load(file)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, step, full)
        with pytest.raises(StoreError, match="No space left on device"):
            keep_last_good(settings, "collect", ENV)
    assert copy.read_text() == FIRST
    assert sorted(p.name for p in file.parent.iterdir()) == [copy.name, "site.toml"]


def test_an_unchanged_copy_is_not_written_again(file: Path) -> None:
    copy = keep_last_good(load(file), "collect", ENV)
    before = copy.stat().st_ino
    assert keep_last_good(load(file), "collect", ENV).stat().st_ino == before
