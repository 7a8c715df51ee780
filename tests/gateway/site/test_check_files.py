"""Files and devices that the configuration names: missing, closed, open to everyone; no secret is ever told."""

import os
from pathlib import Path

import pytest

from engine.errors import ConfigError
from gateway.site.check_files import file_problems, own_file_problems
from gateway.site.file import parse
from gateway.site.problem import Problem, with_lines
from gateway.site.secret import read_secret
from gateway.site.settings import Settings

TEXT = """\
[site]
id = "plant-7"
[mqtt]
url = "mqtts://broker"
username = "u"
password_file = "mqtt.password"
ca_file = "ca.pem"
cert_file = "own.pem"
key_file = "own.key"
[web]
password_file = "web.password"
[[bus]]
id = "line"
protocol = "modbus-rtu"
device = "/dev/rs485-no-such-line"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("mqtt.password", "own.key", "web.password"):
        (tmp_path / name).write_text("geheim\n")
        (tmp_path / name).chmod(0o600)
    for name in ("ca.pem", "own.pem"):
        (tmp_path / name).write_text("-----BEGIN CERTIFICATE-----\n")
    return parse(TEXT, tmp_path / "site.toml")


def told(problems: list[Problem]) -> list[str]:
    return [f"{p.line}: {p}" for p in with_lines(problems, TEXT)]


def test_a_serial_line_that_is_not_there_is_a_warning(settings: Settings) -> None:
    errors, warnings = file_problems(settings)
    assert errors == []
    assert told(warnings) == [
        '15: bus "line": there is no /dev/rs485-no-such-line on this box; write one of: ls -l /dev/serial/by-path'
    ]


@pytest.mark.parametrize(
    ("key", "name", "line"),
    [("password_file", "mqtt.password", 6), ("ca_file", "ca.pem", 7), ("key_file", "own.key", 9)],
)
def test_a_missing_file_is_refused(settings: Settings, tmp_path: Path, key: str, name: str, line: int) -> None:
    (tmp_path / name).unlink()
    errors, _ = file_problems(settings)
    assert told(errors) == [
        f"{line}: [mqtt] {key}: {tmp_path}/{name} does not exist; write the path of an existing file"
    ]


def test_a_secret_that_everyone_can_read_is_a_warning_with_the_command_that_closes_it(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "web.password").chmod(0o644)
    _, warnings = file_problems(settings)
    file = tmp_path / "web.password"
    assert told(warnings)[0] == (
        f"11: [web] password_file: every user of this box can read {file}: "
        f"sudo chown wattledger-web: {file} && sudo chmod 600 {file}"
    )


def test_each_process_looks_at_its_own_files_only(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mqtt.password").unlink()
    (tmp_path / "own.key").unlink()
    assert own_file_problems(settings, "collect") == []
    assert own_file_problems(settings, "web") == []
    missing = told(own_file_problems(settings, "uplink"))
    assert [line.split(":")[0] for line in missing] == ["6", "9"]
    assert f"sudo install -o wattledger-uplink -m 600 /dev/stdin {tmp_path}/mqtt.password" in missing[0]


def test_the_secret_is_the_first_line(tmp_path: Path) -> None:
    file = tmp_path / "p"
    for content in (b"geheim", b"geheim\n", b"geheim\r\n", b"geheim\nsecond line\n"):
        file.write_bytes(content)
        assert read_secret(file, "wattledger-uplink") == "geheim"
    file.write_bytes(" mit Leerzeichen und 密码 \n".encode())
    assert read_secret(file, "wattledger-uplink") == " mit Leerzeichen und 密码 "


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\ngeheim", "is empty"), (b"geheim\xff", "not UTF-8"), (b"x" * 5000, "longer than 4 KiB")],
)
def test_a_secret_that_is_none_is_refused_without_telling_it(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "p"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_secret(file, "wattledger-uplink")
    assert message in str(caught.value)
    chain = [caught.value, caught.value.__cause__, caught.value.hint]
    assert "geheim" not in "".join(map(str, chain))


def test_a_secret_of_another_user_is_refused_with_the_command_that_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p"
    file.write_text("geheim\n")
    file.chmod(0)
    monkeypatch.chdir(tmp_path)
    seen, told_ = os.pipe()
    child = os.fork()
    if child == 0:  # root can read everything, so the reader becomes somebody else
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            text = read_secret(Path("p"), "wattledger-web")
        except ConfigError as error:
            text = f"{error} | {error.hint}"
        os.write(told_, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(seen, 4096).decode() == (
        "p: this user must not read the password file | sudo chown wattledger-web: p && sudo chmod 600 p"
    )
