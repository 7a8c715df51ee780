"""systemd/install into another root: what it places, that twice is once, what it refuses, what it leaves behind."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
INSTALL = TREE / "systemd" / "install"


def install(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(INSTALL), *args], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    return root


def content(root: Path) -> dict[str, tuple[str, int, int]]:
    """Every file: its text or link, mode and time of change."""
    return {
        str(p.relative_to(root)): (
            os.readlink(p) if p.is_symlink() else p.read_text(), p.lstat().st_mode, p.lstat().st_mtime_ns * p.is_file(),
        )
        for p in root.rglob("*") if p.is_file() or p.is_symlink()
    }  # fmt: skip


def test_everything_is_placed_and_nothing_is_run(root: Path) -> None:
    run = install("--root", str(root))
    assert run.returncode == 0, run.stderr
    for unit in ("wattledger-collect.service", "wattledger-uplink.service", "wattledger-web.service"):
        assert (root / "etc/systemd/system" / unit).read_text() == (TREE / "systemd" / unit).read_text()
    assert (root / "etc/sysusers.d/wattledger.conf").exists()
    assert (root / "etc/tmpfiles.d/wattledger.conf").exists()
    assert (root / "etc/modules-load.d/wattledger.conf").exists()
    assert (root / "etc/udev/rules.d/90-wattledger-rs485.rules").exists()
    assert os.readlink(root / "usr/local/bin/wattledger") == "/opt/wattledger/venv/bin/wattledger"
    assert (root / "etc/wattledger/site.toml").read_text() == (TREE / "config/site.example.toml").read_text()
    assert oct((root / "etc/wattledger/site.toml").stat().st_mode & 0o777) == "0o640"
    assert "would run: systemctl daemon-reload" in run.stdout


def test_a_second_run_changes_nothing(root: Path) -> None:
    install("--root", str(root))
    before = content(root)
    run = install("--root", str(root))
    assert run.returncode == 0
    assert content(root) == before
    assert "placed" not in run.stdout


def test_a_changed_unit_is_put_right_and_the_rest_is_left(root: Path) -> None:
    install("--root", str(root))
    unit = root / "etc/systemd/system/wattledger-web.service"
    unit.write_text("[Service]\n")
    run = install("--root", str(root))
    assert [line for line in run.stdout.splitlines() if line.startswith("placed")] == [
        "placed /etc/systemd/system/wattledger-web.service"
    ]


def test_the_example_alone_starts_nothing(root: Path) -> None:
    run = install("--root", str(root))
    assert "enable" not in run.stdout
    assert "describe your meters in /etc/wattledger/site.toml" in run.stdout


def test_a_configuration_of_ones_own_is_kept_checked_and_then_started(root: Path) -> None:
    own = root / "etc/wattledger/site.toml"
    own.parent.mkdir()
    own.write_text('[site]\nid = "mine"\n')
    text = install(f"--root={root}").stdout
    assert own.read_text() == '[site]\nid = "mine"\n'
    steps = [
        r"would build: /opt/wattledger/venv-[0-9a-f]{12} from",
        r"would run: /opt/wattledger/venv-[0-9a-f]{12}/bin/wattledger check -c /etc/wattledger/site.toml",
        r"would run: systemctl enable --quiet wattledger-collect.service",
        r"would run: systemctl restart wattledger-collect.service",
        r"would run: find /opt/wattledger -maxdepth 1 -name venv-\*",
    ]
    places = [match.start() for step in steps if (match := re.search(step, text))]
    assert len(places) == len(steps)
    assert places == sorted(places)


def test_a_second_run_restarts_nothing_but_has_the_configuration_read_again(root: Path) -> None:
    own = root / "etc/wattledger/site.toml"
    own.parent.mkdir()
    own.write_text('[site]\nid = "mine"\n')
    install("--root", str(root))
    text = install("--root", str(root)).stdout
    assert "systemctl restart" not in text
    assert "would run: systemctl reload wattledger-collect.service" in text


def test_destdir_is_another_way_to_say_root(root: Path) -> None:
    assert install(env={"DESTDIR": str(root)}).returncode == 0
    assert (root / "etc/systemd/system/wattledger.target").exists()


def test_uninstalling_leaves_configuration_and_ledger(root: Path) -> None:
    install("--root", str(root))
    ledger = root / "var/lib/wattledger/ledger.db"
    ledger.parent.mkdir(parents=True)
    ledger.write_text("five years")
    run = install("--root", str(root), "--uninstall")
    assert run.returncode == 0, run.stderr
    left = sorted(str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir())
    assert left == ["etc/os-release", "etc/wattledger/site.toml", "var/lib/wattledger/ledger.db"]
    assert install("--root", str(root), "--uninstall").returncode == 0


def test_a_32_bit_system_is_refused(root: Path, tmp_path: Path) -> None:
    shim = tmp_path / "bin"
    shim.mkdir()
    (shim / "getconf").write_text("#!/bin/sh\necho 32\n")
    (shim / "getconf").chmod(0o755)
    run = install("--root", str(root), env={"PATH": f"{shim}:{os.environ['PATH']}"})
    assert run.returncode == 1
    assert "this system is 32 bit" in run.stderr
    assert "64-bit image" in run.stderr
    assert not (root / "etc/systemd").exists()


@pytest.mark.parametrize(
    ("release", "code"),
    [("ID=debian\nVERSION_ID=13\n", 0), ("ID=raspbian\nID_LIKE=debian\nVERSION_ID=12\n", 0),
     ("ID=fedora\nVERSION_ID=42\n", 1)],
)  # fmt: skip
def test_only_debian_and_its_kin_are_taken(root: Path, release: str, code: int) -> None:
    (root / "etc/os-release").write_text(release)
    run = install("--root", str(root))
    assert run.returncode == code
    assert ("not Debian" in run.stderr) == bool(code)


def test_a_python_that_does_not_fit_is_refused(root: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    run = install("--root", str(root), env={"PYTHON": str(old)})
    assert run.returncode == 1
    assert "is not Python 3.11 to 3.13" in run.stderr


def test_a_python_in_a_home_directory_is_refused(root: Path, tmp_path: Path) -> None:
    shim = tmp_path / "bin"
    shim.mkdir()
    (shim / "readlink").write_text("#!/bin/sh\necho /root/.pyenv/versions/3.11.7/bin/python3.11\n")
    (shim / "readlink").chmod(0o755)
    run = install("--root", str(root), env={"PATH": f"{shim}:{os.environ['PATH']}"})
    assert run.returncode == 1
    assert "lies in a home directory" in run.stderr


def test_an_unknown_option_is_a_usage_error() -> None:
    run = install("--bogus")
    assert run.returncode == 2
    assert "no option --bogus" in run.stderr


def test_help_tells_the_three_ways() -> None:
    text = install("--help").stdout
    assert "--uninstall" in text
    assert "--root DIR" in text


def test_the_script_is_clean_for_shellcheck() -> None:
    assert shutil.which("shellcheck"), "install it: sudo apt-get install shellcheck"
    run = subprocess.run(["shellcheck", str(INSTALL)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
