"""The units are judged by systemd itself; users, directories and hardening by what they must say."""

import getpass
import grp
import os
import re
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
SERVICES = ["wattledger-collect", "wattledger-uplink", "wattledger-web"]


def options(service: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / f"{service}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the units in place and a program to start."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for file in [*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.target")]:
        (units / file.name).write_text(file.read_text())
    for program in ("opt/wattledger/venv/bin/wattledger", "bin/kill"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    for standard in ("basic", "shutdown", "sysinit", "multi-user", "network"):
        (units / f"{standard}.target").write_text("[Unit]\nDescription=standard\n")
    return tmp_path


def verify(root: Path, unit: str) -> tuple[int, list[str]]:
    run = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", "--man=no", f"/etc/systemd/system/{unit}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return run.returncode, [line for line in run.stderr.splitlines() if "wattledger" in line]


@pytest.mark.parametrize("unit", [*(f"{s}.service" for s in SERVICES), "wattledger.target"])
def test_systemd_finds_nothing_wrong_with_a_unit(root: Path, unit: str) -> None:
    assert verify(root, unit) == (0, [])


def test_systemd_would_tell_a_mistyped_option(root: Path) -> None:
    unit = root / "etc/systemd/system/wattledger-web.service"
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHme=yes"))
    _, told = verify(root, unit.name)
    assert any("ProtectHme" in line for line in told)


@pytest.mark.parametrize("service", SERVICES)
def test_each_process_has_its_own_user_and_comes_back_without_limit(service: str) -> None:
    unit = options(service)
    assert unit["User"] == [service]
    assert unit["Group"] == ["wattledger"]
    assert unit["Type"] == ["notify"]
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["ExecStart"] == [
        f"/opt/wattledger/venv/bin/wattledger {service.removeprefix('wattledger-')} -c /etc/wattledger/site.toml"
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_each_process_is_hardened(service: str) -> None:
    unit = options(service)
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "ProtectKernelTunables", "RestrictSUIDSGID"):
        assert unit[key] == ["yes"], key
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert unit["SystemCallFilter"][0].startswith("@system-service")


def test_only_collect_may_write_machine_code_and_see_serial_lines() -> None:
    for service in ("wattledger-uplink", "wattledger-web"):
        assert options(service)["MemoryDenyWriteExecute"] == ["yes"]
        assert options(service)["PrivateDevices"] == ["yes"]
        assert "dialout" not in options(service).get("SupplementaryGroups", [])
    collect = options("wattledger-collect")
    assert "MemoryDenyWriteExecute" not in collect
    assert collect["SupplementaryGroups"] == ["dialout"]
    assert "char-ttyUSB rw" in collect["DeviceAllow"]


def test_collect_may_read_whether_the_clock_is_synchronised() -> None:
    allowed = options("wattledger-collect")["SystemCallFilter"][0].split()
    assert {"adjtimex", "clock_adjtime"} <= set(allowed)
    assert "ProtectClock" not in options("wattledger-collect")
    system_service = subprocess.run(
        ["systemd-analyze", "syscall-filter", "@system-service"], capture_output=True, text=True, check=True
    ).stdout
    assert "adjtimex" not in system_service  # so the two names above are needed


def test_no_reader_can_write_beside_the_ledger() -> None:
    for service in ("uplink", "web"):
        assert options(f"wattledger-{service}")["ReadWritePaths"] == [f"/var/lib/wattledger/{service}"]
    modes = {line.split()[1]: line.split()[2:5] for line in lines("tmpfiles.conf")}
    assert modes["/var/lib/wattledger"] == ["2750", "wattledger-collect", "wattledger"]
    assert modes["/var/lib/wattledger/uplink"] == ["2750", "wattledger-uplink", "wattledger"]
    assert modes["/etc/wattledger"] == ["0750", "root", "wattledger"]


def lines(name: str) -> list[str]:
    return [x for x in (SYSTEMD / name).read_text().splitlines() if x and not x.startswith("#")]


def test_the_state_of_each_process_stands_where_it_may_write() -> None:
    for service in SERVICES:
        unit = options(service)
        state = re.search(r"WATTLEDGER_STATE=(\S+)", " ".join(unit["Environment"]))
        assert state is not None
        assert any(Path(state[1]).is_relative_to(place) for place in unit["ReadWritePaths"][0].split())


def test_sysusers_makes_the_users_of_the_units(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("root:x:0:\ndialout:x:20:\n")
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "usr/lib/sysusers.d").mkdir(parents=True)
    (tmp_path / "usr/lib/sysusers.d/wattledger.conf").write_text((SYSTEMD / "sysusers.conf").read_text())
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], capture_output=True, check=True)
    users = dict(line.split(":")[0::3][:2] for line in (tmp_path / "etc/passwd").read_text().splitlines())
    groups = {line.split(":")[0]: line.split(":")[2:] for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert {users[s] for s in SERVICES} == {groups["wattledger"][0]}
    assert groups["dialout"][1] == "wattledger-collect"
    assert groups["wattledger-operator"][1] == "wattledger-collect"
    shells = {line.rpartition(":")[2] for line in (tmp_path / "etc/passwd").read_text().splitlines()[1:]}
    assert shells == {"/usr/sbin/nologin"}


def test_tmpfiles_makes_the_directories_with_their_modes(tmp_path: Path) -> None:
    me, mine = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    text = re.sub(r"(?m)^(d \S+ \S+) \S+ \S+", rf"\1 {me} {mine}", (SYSTEMD / "tmpfiles.conf").read_text())
    config = tmp_path / "own.conf"
    config.write_text(text)
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    for name in ("passwd", "group"):
        (root / "etc" / name).write_text(Path("/etc", name).read_text())
    (root / "etc/tmpfiles.d").mkdir()
    (root / "etc/tmpfiles.d/own.conf").write_text(text)
    subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create"], capture_output=True, check=True)
    for line in lines("tmpfiles.conf"):
        _, path, mode, *_ = line.split()
        assert oct((root / path[1:]).stat().st_mode & 0o7777) == oct(int(mode, 8)), path


def test_every_user_and_group_that_is_used_is_made() -> None:
    made = {line.split()[1] for line in lines("sysusers.conf")} | {"root"}
    used = {name for line in lines("tmpfiles.conf") for name in line.split()[3:5]}
    used |= {options(s)["User"][0] for s in SERVICES} | {options(s)["Group"][0] for s in SERVICES}
    assert used <= made
