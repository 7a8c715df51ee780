"""Finding and reading site.toml: places, encodings, permissions, relative paths, and the lines of all of TOML."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from gateway.site.file import find, load, parse, read_text
from gateway.site.problem import SiteFileError
from gateway.site.settings import text_digest
from gateway.site.toml_lines import Where, line_of, lines_of

SITE = '[site]\nid = "plant-7"\n'


def test_a_named_file_comes_before_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.toml").write_text(SITE)
    assert find("other.toml", {"WATTLEDGER_CONFIG": "env.toml"}) == Path("other.toml")
    assert find(None, {"WATTLEDGER_CONFIG": "env.toml"}) == Path("env.toml")
    assert find(None, {}) == Path("site.toml")


def test_no_configuration_at_all_tells_how_to_write_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.site.file.PLACES", (Path("site.toml"),))
    with pytest.raises(ConfigError) as caught:
        find(None, {})
    assert "wattledger config example > site.toml" in caught.value.hint
    assert caught.value.exit_code == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "site.toml")
    assert str(caught.value) == f"{tmp_path}/site.toml: no such file"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def test_a_file_of_another_user_is_refused_with_the_command_that_shows_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    (tmp_path / "site.toml").chmod(0)
    monkeypatch.chdir(tmp_path)
    seen, tell = os.pipe()
    child = os.fork()
    if child == 0:  # root can read everything, so the reader becomes somebody else
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            text = load(Path("site.toml")).site.id
        except ConfigError as error:
            text = f"{error} | {error.hint}"
        os.write(tell, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(seen, 4096).decode() == (
        "site.toml: not permitted for this user | look: ls -l site.toml; id"
    )


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(SITE.encode() + 'name = "工厂"\n'.encode("gb18030"))
    with pytest.raises(SiteFileError) as caught:
        read_text(file)
    assert [(p.line, p.message) for p in caught.value.problems] == [(3, "this is not UTF-8 text")]


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SITE.replace("\n", "\r\n").encode())
    assert load(file).site.id == "plant-7"
    file.write_bytes(SITE.replace("\n", "\r\n").encode() + b'colour = "red"\r\n')
    with pytest.raises(SiteFileError) as caught:
        load(file)
    assert caught.value.problems[0].line == 3


def test_a_file_that_is_no_configuration_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    with file.open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load(file)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "conf"
    place.mkdir()
    file = place / "site.toml"
    file.write_text(
        SITE + '[store]\npath = "data"\nruntime = "/run/x"\n[mqtt]\nurl = "mqtts://b"\nca_file = "ca.pem"\n'
        'username = "u"\npassword_file = "../mqtt.password"\n[web]\npassword_file = "web.password"\n'
    )
    monkeypatch.chdir(tmp_path)
    settings = load(Path("conf/site.toml"))
    assert settings.store.path == place / "data"
    assert settings.store.runtime_dir == Path("/run/x")
    assert settings.mqtt.ca_file == place / "ca.pem"
    assert settings.mqtt.password_file == place / "../mqtt.password"
    assert settings.web.password_file == place / "web.password"
    assert settings.mqtt.cert_file is None


def test_the_digest_is_of_the_text_that_was_read(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(SITE + "# a comment counts\n")
    settings = load(file)
    assert settings.text == SITE + "# a comment counts\n"
    assert settings.digest == text_digest(settings.text) != text_digest(SITE)
    assert len(settings.digest) == 16
    assert settings.file == file


FORMS = """\
# comment with [brackets] and = signs
title.sub = 1
"quoted key".'another one' = "# not a comment"

[a.b]  # a header
x = [1, # one
  2,
  {y = 3, z = {w = "]"}},
]
text = \"\"\"
[not.a.header]
x = 5 \\\"""
""\"\"\"
raw = '''
[[nor.this]]'''
when = 2026-11-20T08:00:00Z
last = 1

[[list]]
id = "one"
[list.inner]
deep = true
[[list.nested]]
n = 1
[[list.nested]]
n = 2

[[list]]
id = "two"
[list.inner]
deep = false
[["spaced" . 'list']]
k=1
"""


def _paths(value: Any, where: Where = ()) -> set[Where]:
    found = {where} if where else set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found |= _paths(inner, (*where, key))
    return found


def test_every_key_of_every_form_has_its_line() -> None:
    lines = lines_of(FORMS)
    assert _paths(tomllib.loads(FORMS)) - set(lines) <= {("a",), ("spaced",)}  # never written by themselves
    text = FORMS.splitlines()
    for where, fragment in {
        ("title", "sub"): "title.sub", ("quoted key", "another one"): '"quoted key"', ("a", "b"): "[a.b]",
        ("a", "b", "x", 1): "  2,", ("a", "b", "x", 2, "z", "w"): "  {y", ("a", "b", "raw"): "raw =",
        ("a", "b", "last"): "last", ("list", 0, "inner", "deep"): "deep = true",
        ("list", 0, "nested", 1, "n"): "n = 2", ("list", 1, "inner", "deep"): "deep = false",
        ("spaced", "list", 0, "k"): "k=1",
    }.items():  # fmt: skip
        assert text[lines[where] - 1].startswith(fragment), where


def test_what_is_missing_has_the_line_of_what_is_around_it() -> None:
    lines = lines_of(FORMS)
    assert line_of(lines, ("list", 1, "profile")) == FORMS.splitlines().index('id = "two"')
    assert line_of(lines, ("nothing", "here")) == 1


def test_tables_written_inline_are_refused_with_their_lines() -> None:
    text = (
        'site = {id = "a"}\n'
        'bus = [\n  {id = "b", protocol = "modbus-tcp", host = "h"},\n]\n'
        'meter = [\n  {id = "m", bus = "b", address = 1, profile = "p"},\n'
        '  {id = "n", bus = "b", address = 1, profile = "p"},\n]\n'
    )
    with pytest.raises(SiteFileError) as caught:
        parse(text, Path("site.toml"))
    assert [(p.line, p.message) for p in caught.value.problems] == [
        (7, 'meter "n": address 1 on this bus is meter "m" already')
    ]
