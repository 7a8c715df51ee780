"""`wattledger check` and `config` as processes: exit codes, JSON; the example and the schema that are shipped."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.cli.config import as_toml
from gateway.site.file import load, parse
from gateway.site.problem import SiteFileError
from gateway.site.schema import schema_text
from gateway.site.settings import Settings
from gateway.site.words import LISTS, SINGLE

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config" / "site.example.toml"
BAD = '[site]\nid = "a"\n[[meter]]\nid = "m"\nadress = 1\n'
UNKNOWN = (
    '[site]\nid = "a"\n[[bus]]\nid = "b"\nprotocol = "modbus-tcp"\nhost = "h"\n'
    '[[meter]]\nid = "m"\nbus = "b"\naddress = 1\nprofile = "no-such-meter"\n'
)


def wattledger(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *args], capture_output=True, text=True, check=False, cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )  # fmt: skip


def test_the_example_passes_the_check() -> None:
    run = wattledger("check", "-c", str(EXAMPLE))
    assert run.returncode == 0, run.stderr
    assert f"{EXAMPLE} is good" in run.stdout
    for column in ("meter", "registers", "MB/month", "shortest interval"):
        assert column in run.stdout
    assert re.search(r"press-1 +hall-b +acrel-dtsd1352 +21 +6 +61 +312 +10s +3:10\+12", run.stdout)


def test_the_example_covers_every_key() -> None:
    text = EXAMPLE.read_text()
    for name, model in SINGLE.items() | LISTS.items():
        sections = re.split(r"(?m)^\[+(\w+)\]+$", text)
        body = "\n".join(b for header, b in zip(sections[1::2], sections[2::2], strict=True) if header == name)
        missing = [key for key in model.model_fields if not re.search(rf"(?m)^(# )?{key} = ", body)]
        assert missing == [], name


def test_every_key_that_the_example_comments_out_is_a_valid_one(tmp_path: Path) -> None:
    """Uncommented one by one, none is refused as unknown or mistyped."""
    lines = EXAMPLE.read_text().splitlines()
    commented = [n for n, line in enumerate(lines) if re.match(r"# \w+ = ", line)]
    assert len(commented) >= 8
    for n in commented:
        changed = [*lines[:n], lines[n].removeprefix("# "), *lines[n + 1 :]]
        refused: list[str] = []
        try:
            parse("\n".join(changed), tmp_path / "site.toml")
        except SiteFileError as error:  # a pair of keys needs its other half
            refused = [p.message for p in error.problems]
        assert all(re.search("belong together|without username|no effect on mqtt://", m) for m in refused), refused


def test_a_bad_file_is_exit_3_and_all_its_problems_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(BAD)
    run = wattledger("check", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.splitlines() == [
        'error: site.toml:3: meter "m": address is missing; write address = 1',
        'site.toml:3: meter "m": profile is missing; write profile = "eastron-sdm630"',
        'site.toml:5: meter "m": unknown key "adress"; write "address"',
        "  hint: correct the file, then: wattledger check -c site.toml",
    ]


def test_what_only_the_check_finds_is_exit_3_too(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(UNKNOWN)
    run = wattledger("check", cwd=tmp_path)
    assert run.returncode == 3
    assert 'site.toml:11: meter "m": unknown profile "no-such-meter"' in run.stderr


@pytest.mark.parametrize(("text", "line"), [(BAD, 3), (UNKNOWN, 11)])
def test_json_tells_errors_with_their_lines(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "site.toml").write_text(text)
    run = wattledger("check", "--json", cwd=tmp_path)
    report = json.loads(run.stdout)
    assert run.returncode == 3
    assert report["ok"] is False
    assert report["errors"][0]["line"] == line
    assert run.stderr == ""


def test_json_of_a_good_file_has_plans_buses_and_streams() -> None:
    report = json.loads(wattledger("check", "--json", "-c", str(EXAMPLE)).stdout)
    assert report["ok"] is True
    assert report["digest"] == load(EXAMPLE).digest
    assert [p["meter"] for p in report["plans"]] == ["main-1", "press-1", "oven-1", "transformer-1"]
    assert report["plans"][0]["blocks"][0] == {"function": 4, "address": 0, "registers": 80}
    assert {b["bus"]: b["protocol"] for b in report["buses"]}["hall-b"] == "modbus-rtu"
    assert {s["stream"] for s in report["streams"]} == {"readings", "intervals", "live"}
    assert all(s["mb_per_month"] > 0 for s in report["streams"])


def test_quiet_prints_the_path_of_a_good_file_alone(tmp_path: Path) -> None:
    run = wattledger("check", "--quiet", "-c", str(EXAMPLE))
    assert (run.returncode, run.stdout) == (0, f"{EXAMPLE}\n")
    (tmp_path / "site.toml").write_text(UNKNOWN)
    run = wattledger("check", "--quiet", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (3, "")
    assert "no-such-meter" in run.stderr


def test_config_example_is_the_shipped_file(tmp_path: Path) -> None:
    run = wattledger("config", "example", cwd=tmp_path)
    assert run.stdout == EXAMPLE.read_text()


def test_config_show_tells_every_default_and_of_secrets_the_path_only(tmp_path: Path) -> None:
    (tmp_path / "mqtt.password").write_text("geheim\n")
    (tmp_path / "site.toml").write_text(
        '[site]\nid = "a"\n[mqtt]\nusername = "u"\npassword_file = "mqtt.password"\n'
    )
    run = wattledger("config", "show", cwd=tmp_path)
    shown = tomllib.loads(run.stdout)
    assert shown["store"]["commit_interval"] == "10s"
    assert shown["mqtt"]["password_file"] == str(tmp_path / "mqtt.password")
    assert "geheim" not in run.stdout
    as_json = json.loads(wattledger("config", "show", "--json", cwd=tmp_path).stdout)
    assert as_json["site"]["energy_interval"] == "15m"


def test_what_config_show_prints_reads_back_the_same() -> None:
    settings = load(EXAMPLE)
    again = parse(as_toml(settings), EXAMPLE)
    assert again.model_dump() == settings.model_dump()
    assert as_toml(again) == as_toml(settings)


def test_ratios_powers_and_a_gateways_line_survive_config_show() -> None:
    text = (
        '[site]\nid = "a"\n[[bus]]\nid = "b"\nprotocol = "modbus-tcp"\nhost = "h"\nbaud = 9600\n[[meter]]\nid = "m"\n'
        'bus = "b"\naddress = 1\nprofile = "p"\nct = "100/3"\nvt = "10000/100"\nrated_power = "1.25 MW"\n'
    )
    settings = parse(text, EXAMPLE)
    again = parse(as_toml(settings), EXAMPLE)
    assert again.model_dump() == settings.model_dump()
    assert again.buses["b"].serial_line
    assert again.meter[0].ct == settings.meter[0].ct


def test_the_shipped_schema_is_up_to_date() -> None:
    shipped = (ROOT / "config/site.schema.json").read_text()
    assert shipped == schema_text(), "python -m gateway.site.schema > config/site.schema.json"


def test_the_schema_speaks_toml() -> None:
    schema = json.loads(schema_text())
    assert "null" not in schema_text()
    assert set(schema["properties"]) == set(Settings.model_fields)
    interval = schema["$defs"]["Meter"]["properties"]["interval"]
    assert (interval["type"], interval["default"]) == ("string", "10s")
    assert re.match(interval["pattern"], "15m")
    assert not re.match(interval["pattern"], "15")
    for table in schema["$defs"].values():
        assert table["additionalProperties"] is False
