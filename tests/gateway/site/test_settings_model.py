"""What the settings work out by themselves: defaults, hosts and ports, the buses of single meters, the digest."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.errors import ConfigError
from gateway.site.check import problems_for
from gateway.site.factors import load_factor, load_factors
from gateway.site.file import parse
from gateway.site.settings import Mqtt, Settings, Site, Store, Web, text_digest

ROOT = Path(__file__).parents[3]
OWN = '[site]\nid = "a"\n[[meter]]\nid = "m"\nhost = "{}"\nprotocol = "{}"\naddress = 1\nprofile = "p"\n'


def site(text: str) -> Settings:
    return parse(text, Path("site.toml"))


def test_a_file_with_a_site_alone_has_every_default() -> None:
    settings = site('[site]\nid = "a"\n')
    assert settings.site.energy_interval == 900_000
    assert settings.store.commit_interval == 10_000
    assert settings.store.clock_hold == 3_600_000
    assert settings.store.retention_years == 5
    assert settings.mqtt.streams == ("intervals", "events", "readings")
    assert settings.web.listen == "127.0.0.1:8080"
    assert settings.carbon.factor == "cn.grid.national.2023"


def test_the_runtime_directory_follows_the_store() -> None:
    assert Store().runtime_dir == Path("/run/wattledger")
    assert Store(path=Path("/data")).runtime_dir == Path("/data/run")
    assert Store(path=Path("/data"), runtime=Path("/dev/shm/w")).runtime_dir == Path("/dev/shm/w")
    assert Store(path=Path("/data")).uplink_dir == Path("/data/uplink")


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [("mqtt://broker", "broker", 1883, False), ("mqtts://broker", "broker", 8883, True),
     ("mqtts://10.0.0.1:443/", "10.0.0.1", 443, True), ("mqtt://[::1]:1884", "::1", 1884, False)],
)  # fmt: skip
def test_the_broker_of_an_url(url: str, host: str, port: int, tls: bool) -> None:
    mqtt = Mqtt(url=url)
    assert (mqtt.host, mqtt.port, mqtt.tls) == (host, port, tls)


@pytest.mark.parametrize(
    ("listen", "host", "port", "loopback"),
    [("127.0.0.1:8080", "127.0.0.1", 8080, True), ("[::1]:80", "::1", 80, True), ("localhost:0", "localhost", 0, True),
     ("127.9.9.9:1", "127.9.9.9", 1, True), ("0.0.0.0:80", "0.0.0.0", 80, False), ("gw.lan:80", "gw.lan", 80, False)],
)  # fmt: skip
def test_the_address_of_the_page(listen: str, host: str, port: int, loopback: bool) -> None:
    web = Web(listen=listen, open=True)
    assert (web.host, web.port, web.loopback) == (host, port, loopback)


def test_a_meter_with_a_host_has_a_bus_of_its_own() -> None:
    settings = site(OWN.format("10.0.0.7", "modbus-tcp"))
    [bus] = settings.buses.values()
    assert (bus.id, bus.tcp_port) == ("modbus-tcp-10-0-0-7-502", 502)
    assert settings.bus_of(settings.meters["m"]) == bus.id
    [station] = site(OWN.format("10.0.0.7", "iec104")).buses.values()
    assert station.tcp_port == 2404


@pytest.mark.parametrize("host", ["fe80::1%eth0", "A.Very.Long.Host.Name.example.company.internal", "h_1"])
def test_the_id_of_such_a_bus_is_always_an_id(host: str) -> None:
    [bus] = site(OWN.format(host, "modbus-tcp")).buses
    assert len(bus) <= 40
    assert bus.replace("-", "").isalnum()
    assert bus == bus.lower()


def test_two_long_host_names_have_two_buses() -> None:
    name = "a-very-long-host-name-of-a-company.example{}"
    ids = {next(iter(site(OWN.format(name.format(n), "modbus-tcp")).buses)) for n in range(2)}
    assert len(ids) == 2


def test_settings_do_not_change() -> None:
    settings = site('[site]\nid = "a"\n')
    with pytest.raises(ValidationError, match="frozen"):
        settings.site.id = "b"  # type: ignore[misc]  # what is tested


def test_settings_made_by_a_program_have_a_digest_too() -> None:
    made = Settings(site=Site(id="a"))
    assert made.file is None
    assert made.digest == text_digest(made.text)
    assert made.digest != Settings(site=Site(id="b")).digest


def test_all_three_processes_judge_alike_but_for_their_own_secrets(tmp_path: Path) -> None:
    text = (
        '[site]\nid = "a"\n[carbon]\nfactor = "none"\n[mqtt]\nusername = "u"\npassword_file = "no"\n'
        '[web]\npassword_file = "no-web"\n'
    )
    settings = parse(text, tmp_path / "site.toml")
    found = {p: [".".join(map(str, x.where)) for x in problems_for(p)(settings)] for p in ("collect", "uplink", "web")}
    assert found == {
        "collect": ["carbon.factor"],
        "uplink": ["carbon.factor", "mqtt.password_file"],
        "web": ["carbon.factor", "web.password_file"],
    }


def test_reading_a_configuration_loads_neither_kernels_nor_wire() -> None:
    code = (
        "import sys, gateway.site.check, gateway.site.last_good; "
        "print([m for m in ('numba', 'c104', 'pymodbus') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "[]\n"


def test_a_factor_is_found_by_its_id_or_named_by_its_neighbours(tmp_path: Path) -> None:
    assert load_factor("cn.grid.national.2023").value_mg_per_kwh == 530_600
    with pytest.raises(ConfigError) as caught:
        load_factor("cn.grid.national.2024")
    assert caught.value.hint.startswith('write "cn.grid.national.2023"')


def test_one_factor_id_in_two_packs_is_refused(tmp_path: Path) -> None:
    pack = (ROOT / "config/factors/de-uba.toml").read_text()
    (tmp_path / "a.toml").write_text(pack)
    assert load_factors(tmp_path)
    (tmp_path / "b.toml").write_text(pack)
    with pytest.raises(ConfigError, match="stands in another pack already"):
        load_factors(tmp_path)


def test_a_pack_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[[factor\n")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_factors(tmp_path)
