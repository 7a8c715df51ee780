"""The page's files: words complete in both languages, vendored code unchanged, nothing from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway.web.assets import STATIC
from gateway.web.status import PART_KEYS
from gateway.web.upload import State as UploadState

SCRIPTS = {path.name: path.read_text() for path in (STATIC / "js").glob("*.js")}
PAGE = (STATIC / "index.html").read_text()
STYLES = {path.name: path.read_text() for path in (STATIC / "css").glob("*.css")}
WORDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in (STATIC / "i18n").glob("*.json")
}
# What the scripts put together at run time: `t(`prefix.${name}`)`.
BUILT = {
    "sentence": [f"sentence.{key}" for key in PART_KEYS],
    "setup": [f"setup.{key}.{part}" for key in ("no_meters", "not_started")
              for part in ("title", "text", "step1", "step2", "step3")],
    "stale": ["stale.disconnected", "stale.stopped"],
    "tiles.basis": ["tiles.basis.grid", "tiles.basis.loads"],
    "meters": ["meters.answering", "meters.silent", "meters.waiting"],
    "upload.state": [f"upload.state.{state}" for state in get_args(UploadState)],
    "upload.proof": ["upload.proof.puback-5", "upload.proof.puback-3.1.1"],
    "stream": [f"stream.{name}" for name in ("readings", "intervals", "events", "manifests")],
    "storage.state": [f"storage.state.{state}" for state in ("ok", "absent", "unreadable")],
    "storage": ["storage.readings", "storage.intervals"],
    "events": ["events.info", "events.warning", "events.error"],
}  # fmt: skip


def texts(value: str | dict[str, str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value.values())


def keys_in_use() -> set[str]:
    found = set(re.findall(r'data-i18n="([^"]+)"', PAGE))
    for script in SCRIPTS.values():
        found |= set(re.findall(r'"([a-z_]+(?:\.[a-z0-9_]+)+)"', script)) & set(WORDS["en"])
        found |= set(re.findall(r'\bt\("([^"]+)"', script))
        for prefix in re.findall(r"\bt\(`([a-z_.]+)\.\$\{", script):
            found |= set(BUILT[prefix])
    return found


def test_there_are_two_languages_with_the_same_keys() -> None:
    assert sorted(WORDS) == ["en", "zh"]
    assert sorted(WORDS["en"]) == sorted(WORDS["zh"])


def test_every_key_that_the_page_uses_exists_and_every_key_is_used() -> None:
    assert keys_in_use() == set(WORDS["en"])


def test_both_languages_fill_the_same_names() -> None:
    for key, english in WORDS["en"].items():
        *one, other = ({*re.findall(r"\{(\w+)\}", text)} for text in texts(english))
        assert [other] == [{*re.findall(r"\{(\w+)\}", text)} for text in texts(WORDS["zh"][key])], key
        assert all(names <= other for names in one), key


def test_no_text_is_empty_and_plural_forms_fit_the_language() -> None:
    forms = {"en": {"one", "other"}, "zh": {"other"}}
    for language, words in WORDS.items():
        for key, value in words.items():
            blank_wanted = key == "sentence.separator" and language == "zh"
            assert all(texts(value)) or blank_wanted, key
            if isinstance(value, dict):
                assert set(value) == forms[language], key


def test_chinese_is_chinese_and_uses_its_own_punctuation() -> None:
    for key, value in WORDS["zh"].items():
        for text in texts(value):
            assert not re.search(r"[\u4e00-\u9fff}][,;:]", text), key


def test_every_element_that_a_script_looks_up_is_in_the_page() -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', PAGE))
    wanted = {name for script in SCRIPTS.values() for name in re.findall(r'byId\("([^"]+)"\)', script)}
    assert wanted <= ids
    assert len(wanted) > 25


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline() -> None:
    for name, text in {"index.html": PAGE, **SCRIPTS, **STYLES}.items():
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", re.sub(r"(?m)^\s*//.*$", "", text)), name
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", PAGE)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", PAGE) == [""]


def test_every_file_that_is_imported_exists() -> None:
    for name, script in SCRIPTS.items():
        for target in re.findall(r'from "([^"]+)"', script):
            file = STATIC / target.removeprefix("/static/") if target.startswith("/") else STATIC / "js" / target
            assert file.is_file(), f"{name} imports {target}"
    for target in re.findall(r'(?:href|src)="/static/([^"]+)"', PAGE):
        assert (STATIC / target).is_file(), target


def test_scripts_put_text_in_as_text_never_as_markup() -> None:
    for name, script in SCRIPTS.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script), name


@pytest.mark.parametrize("file", ["LICENSE", "uPlot.esm.js", "uPlot.min.css"])
def test_vendored_code_is_what_its_makers_published(file: str) -> None:
    folder: Path = STATIC / "vendor" / "uPlot"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == sums[file]
    assert sorted(sums) == ["LICENSE", "uPlot.esm.js", "uPlot.min.css"]
