"""Every refusal of site.toml: the exact line, what is wrong, and what to write instead."""

from pathlib import Path

import pytest

from gateway.site.file import parse
from gateway.site.problem import SiteFileError

GOOD = """\
[site]
id = "plant-7"
timezone = "Asia/Shanghai"

[mqtt]
url = "mqtts://broker.example:8883"
username = "gw"
password_file = "mqtt.password"
streams = ["intervals", "events"]

[[bus]]
id = "hall-a"
protocol = "modbus-tcp"
host = "10.0.0.7"

[[bus]]
id = "rs485"
protocol = "modbus-rtu"
device = "/dev/rs485-1"

[[bus]]
id = "station"
protocol = "iec104"
host = "10.0.0.9"

[[meter]]
id = "main-1"
bus = "hall-a"
address = 1
profile = "eastron-sdm630"

[[meter]]
id = "press-1"
bus = "rs485"
address = 2
profile = "acrel-dtsd1352"
parent = "main-1"

[[meter]]
id = "feeder-1"
bus = "station"
address = 5
profile = "iec104-map"
ioa_base = 100
"""
FILE = Path("/etc/wattledger/site.toml")


def test_the_file_that_all_cases_change_is_good() -> None:
    settings = parse(GOOD, FILE)
    assert list(settings.meters) == ["main-1", "press-1", "feeder-1"]
    assert settings.mqtt.password_file == Path("/etc/wattledger/mqtt.password")


def refusal(change: tuple[str, str]) -> list[str]:
    """What the changed file is refused with, as `line: message`."""
    old, new = change
    assert GOOD.count(old) == 1, old
    with pytest.raises(SiteFileError) as caught:
        parse(GOOD.replace(old, new), FILE)
    assert str(caught.value) == "\n".join(f"{FILE}:{p.line}: {p}" for p in caught.value.problems)
    assert caught.value.hint == "correct the file, then: wattledger check -c /etc/wattledger/site.toml"
    return [f"{p.line}: {p}" for p in caught.value.problems]


CASES = [
    # syntax
    (('id = "plant-7"', "id = plant-7"),
     '2: not valid TOML: Invalid value; write text in quotes (key = "…"), true or false in small letters'),
    (('host = "10.0.0.7"', "host = 10.0.0.7"),
     '14: not valid TOML: Expected newline or end of document after a statement; '
     'write text in quotes: host = "10.0.0.7", interval = "10s"'),
    (('id = "hall-a"', 'id "hall-a"'),
     "12: not valid TOML: Expected '=' after a key in a key/value pair; write key = value"),
    (('id = "rs485"', 'id = "rs485'),
     "17: not valid TOML: Illegal character '\\n'; write the closing quote on the same line: \"…\""),
    (('host = "10.0.0.9"', 'host = "10.0.0.9"\nhost = "10.0.0.8"'),
     "25: not valid TOML: Cannot overwrite a value; write each key once"),
    (("ioa_base = 100\n", "ioa_base = [100\n"), "44: not valid TOML: Unclosed array; write the closing bracket"),
    (("ioa_base = 100", f"ioa_base = {'[' * 100_000}"), "1: not valid TOML: brackets are nested too deeply"),
    # keys and tables
    (("[mqtt]", "[mqt]"), '5: unknown table or key "mqt"; write "mqtt"'),
    (("[site]\n", "speed = 1\n[site]\n"),
     '1: unknown table or key "speed"; write one of site, store, mqtt, web, carbon, bus, meter'),
    (("[mqtt]", "[store]\n[[mqtt]]"), "6: mqtt is a table; write [mqtt]"),
    (("[site]\n", "[web]\n[web.open]\n[site]\n"), "2: [web] open: {} has the wrong type; write true or false"),
    (('timezone = "Asia/Shanghai"', 'time_zone = "Asia/Shanghai"'),
     '3: [site]: unknown key "time_zone"; write "timezone"'),
    (('timezone = "Asia/Shanghai"', 'retention_years = 5'),
     '3: [site]: unknown key "retention_years"; write it under [store], where it belongs'),
    (('username = "gw"', 'username = "gw"\npassword = "s3cr3t"'),
     '8: [mqtt]: unknown key "password"; '
     'write password_file = "…": the password stands in that file, never in this one'),
    (("address = 2\n", "adress = 2\naddress = 2\n"), '35: meter "press-1": unknown key "adress"; write "address"'),
    (("address = 2\n", ""), '32: meter "press-1": address is missing; write address = 1'),
    (('id = "press-1"\n', ""), '32: [[meter]] number 2: id is missing; write id = "press-1"'),
    (('id = "plant-7"\n', ""), '1: [site]: id is missing; write id = "press-1"'),
    # types and values
    (('id = "plant-7"', 'id = "Plant 7"'),
     '2: [site] id: "Plant 7" is no id: a-z, 0-9 and -, at most 40; write e.g. "plant-7"'),
    (('id = "plant-7"', 'id = "plant-7"\nname = "a\\nb"'),
     '3: [site] name: "a�b" holds a control character; write plain text on one line'),
    (('id = "plant-7"', f'id = "plant-7"\nname = "{"x" * 121}"'),
     f'3: [site] name: "{"x" * 36}… is too long; write at most 120 characters'),
    (('timezone = "Asia/Shanghai"', 'timezone = "Asia/Beijing"'),
     '3: [site] timezone: unknown time zone "Asia/Beijing"; write an IANA name, e.g. "Asia/Shanghai"'),
    (('timezone = "Asia/Shanghai"', 'language = "cn"'), '3: [site] language: "cn" is not known; write "zh" or "en"'),
    (('timezone = "Asia/Shanghai"', 'energy_interval = "7m"'),
     '3: [site] energy_interval: "7m" does not divide 15 minutes; write "10s", "30s", "1m", "5m" or "15m"'),
    (('timezone = "Asia/Shanghai"', "energy_interval = 900"),
     '3: [site] energy_interval: a duration is text with a unit: write "10s" or "15m" instead of 900'),
    (("[mqtt]", "[store]\nretention_years = 3\n[mqtt]"),
     "6: [store] retention_years: 3 is too small; write 5 or more"),
    (("[mqtt]", '[store]\ncommit_interval = "10ms"\n[mqtt]'),
     "6: [store] commit_interval: commit_interval, what a power cut may cost, lies between 100ms and 5m; "
     'write "10s"'),
    (('url = "mqtts://broker.example:8883"', 'url = "http://broker"'),
     '6: [mqtt] url: "http://broker" is not a broker; write "mqtts://broker.example:8883"'),
    (('url = "mqtts://broker.example:8883"', 'url = "mqtt://broker:99999"'),
     '6: [mqtt] url: "mqtt://broker:99999" is not a broker; write "mqtts://broker.example:8883"'),
    (('url = "mqtts://broker.example:8883"', 'url = "mqtt://me:pw@broker"'),
     "6: [mqtt] url: the url carries a user or password; write username = … and password_file = … beside it"),
    (('username = "gw"\n', ""),
     '7: [mqtt]: password_file without username; write username = "…"'),
    (('username = "gw"', 'username = "gw"\ncert_file = "a.pem"'),
     "8: [mqtt]: cert_file and key_file belong together; write both or none"),
    (('url = "mqtts://broker.example:8883"', 'url = "mqtt://broker.example"\nca_file = "ca.pem"'),
     '6: [mqtt]: ca_file has no effect on mqtt://; write url = "mqtts://broker.example:8883"'),
    (('username = "gw"', 'username = "gw"\nversion = 5'), '8: [mqtt] version: 5 is not known; write "5"'),
    (('streams = ["intervals", "events"]', 'streams = ["intervals",\n  "event"]'),
     '10: [mqtt] streams: "event" is not known; write "events"'),
    (('streams = ["intervals", "events"]', 'streams = ["events", "events"]'),
     '9: [mqtt] streams: "events" is listed twice; write each name once'),
    (('streams = ["intervals", "events"]', 'streams = "events"'),
     '9: [mqtt] streams: "events" has the wrong type; write ["intervals", "events", "readings"]'),
    (("[mqtt]", '[web]\nlisten = "0.0.0.0:8080"\n[mqtt]'),
     '6: [web]: "0.0.0.0:8080" is reachable from the network; '
     'write password_file = "…", or open = true if everyone there may read'),
    (("[mqtt]", '[web]\nlisten = "127.evil.example:8080"\n[mqtt]'),
     '6: [web]: "127.evil.example:8080" is reachable from the network; '
     'write password_file = "…", or open = true if everyone there may read'),
    (("[mqtt]", '[web]\nlisten = "8080"\n[mqtt]'), '6: [web] listen: "8080" is not host:port; write "127.0.0.1:8080"'),
    # buses
    (('protocol = "modbus-tcp"', 'protocol = "modbus_tcp"'),
     '13: bus "hall-a" protocol: "modbus_tcp" is not known; write "modbus-tcp"'),
    (('host = "10.0.0.7"', 'host = "10.0.0.7:502"'),
     '14: bus "hall-a" host: host "10.0.0.7:502" carries a port; write host = "10.0.0.7" and port = 502'),
    (('host = "10.0.0.7"', 'host = "10.0.0.7"\nport = "502"'),
     '15: bus "hall-a" port: "502" has the wrong type; write 502'),
    (('host = "10.0.0.7"', 'host = "10.0.0.7"\nport = 0'), '15: bus "hall-a" port: 0 is too small; write 1 or more'),
    (('host = "10.0.0.7"', 'host = "10.0.0.7"\ntimeout = "2m"'),
     '15: bus "hall-a" timeout: timeout lies between 20ms and 1m; write "1s"'),
    (('device = "/dev/rs485-1"', 'device = "/dev/rs485-1"\nhost = "10.0.0.8"'),
     '20: bus "rs485": host does not belong to modbus-rtu; write no host, or modbus-rtu-tcp'),
    (('device = "/dev/rs485-1"\n', ""),
     '18: bus "rs485": modbus-rtu needs a serial line; write device = "/dev/rs485-1"'),
    (('host = "10.0.0.7"\n', ""), '13: bus "hall-a": modbus-tcp needs a host; write host = "10.0.0.7"'),
    (('host = "10.0.0.7"', 'host = "10.0.0.7"\ndevice = "/dev/x"'),
     '15: bus "hall-a": device does not belong to modbus-tcp; write no device, or modbus-rtu'),
    (('host = "10.0.0.9"', 'host = "10.0.0.9"\nbaud = 9600'),
     '25: bus "station": baud does not belong to iec104; write no baud'),
    (('id = "station"', 'id = "hall-a"'),
     ['22: bus id "hall-a" is taken already; write another, e.g. "hall-a-2"',
      '41: meter "feeder-1": unknown bus "station"; write "hall-a", "rs485", or [[bus]] with id = "station"']),
    (('host = "10.0.0.9"', 'host = "10.0.0.7"\nport = 502'),
     '24: bus "station": 10.0.0.7:502 belongs to bus "hall-a" already; '
     'write bus = "hall-a" in its meters, and no second [[bus]]'),
    # meters
    (('id = "press-1"', 'id = "main-1"'),
     ['33: meter id "main-1" is taken already; write another, e.g. "main-1-2"']),
    (('bus = "rs485"', 'bus = "rs4855"'), '34: meter "press-1": unknown bus "rs4855"; write "rs485"'),
    (('bus = "rs485"', 'bus = "x"'),
     '34: meter "press-1": unknown bus "x"; '
     'write "hall-a", "rs485", "station", or [[bus]] with id = "x"'),
    (('bus = "rs485"\n', ""), '33: meter "press-1": neither bus nor host is given; write bus = "…"'),
    (('bus = "rs485"', 'bus = "rs485"\nport = 502'),
     '35: meter "press-1": port belongs to bus "rs485"; write port in its [[bus]], or no bus'),
    (('bus = "rs485"', 'host = "10.0.0.99"'),
     '34: meter "press-1": host needs a protocol of its own; '
     'write protocol = "modbus-tcp", "modbus-rtu-tcp" or "iec104"'),
    (('bus = "rs485"', 'host = "10.0.0.7"\nprotocol = "modbus-tcp"'),
     '34: meter "press-1": 10.0.0.7:502 is bus "hall-a"; write bus = "hall-a" instead of host, port and protocol'),
    (("address = 2", "address = 248"),
     '35: meter "press-1": address 248 does not exist on modbus-rtu; write 1 to 247'),
    (("address = 2", "address = 65535"), '35: meter "press-1" address: 65535 is too large; write 65534 or less'),
    (("address = 2", "address = true"), '35: meter "press-1" address: True has the wrong type; write 1'),
    (("address = 2", "address = 2.0"), '35: meter "press-1" address: 2.0 has the wrong type; write 1'),
    (("address = 2", 'address = 2\ninterval = "7s"'),
     '36: meter "press-1" interval: "7s" does not divide a day, or is below 100ms; write "1s", "10s" or "1m"'),
    (("address = 2", "address = 2\nrated_power = 250"),
     '36: meter "press-1" rated_power: a power is text with a unit: write "250 kW" instead of 250'),
    (("address = 2", 'address = 2\nct = "5/200"'),
     '36: meter "press-1" ct: "5/200" is below 1: write primary first, e.g. "200/5"'),
    (("address = 2", 'address = 2\nrole = "consumer"'),
     '36: meter "press-1" role: "consumer" is not known; '
     'write "grid" or "load" or "generation" or "storage"'),
    (("address = 2", "address = 2\nioa_base = 1"),
     '36: meter "press-1": ioa_base belongs to iec104, not to modbus-rtu; write no ioa_base'),
    (('parent = "main-1"', 'parent = "main"'), '37: meter "press-1": unknown parent "main"; write "main-1"'),
    (('parent = "main-1"', 'parent = "press-1"'),
     '37: meter "press-1": parents go round in a circle: press-1 → press-1; write no parent at the topmost one'),
    (("address = 1\n", 'address = 1\nparent = "press-1"\n'),
     '30: meter "main-1": parents go round in a circle: main-1 → press-1 → main-1; '
     "write no parent at the topmost one"),
    (("ioa_base = 100\n",
      'ioa_base = 100\n[[meter]]\nid = "b"\nbus = "station"\naddress = 5\nprofile = "x"\nioa_base = 100\n'),
     '48: meter "b": address 5 and ioa_base 100 on this bus is meter "feeder-1" already; '
     "write the address that the device shows in its own menu, or another ioa_base"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CASES, ids=lambda v: str(v)[:40])
def test_a_wrong_file_is_refused_with_its_line(change: tuple[str, str], expected: str | list[str]) -> None:
    assert refusal(change) == ([expected] if isinstance(expected, str) else expected)


def test_a_number_too_long_to_read_is_refused() -> None:
    assert refusal(("ioa_base = 100", f"ioa_base = {'9' * 5000}"))[0].startswith("1: not valid TOML: Exceeds the")


def test_two_meters_with_one_address_on_a_bus_are_refused() -> None:
    second = '\n[[meter]]\nid = "press-2"\nbus = "rs485"\naddress = 2\nprofile = "x"\n'
    assert refusal(("ioa_base = 100\n", f"ioa_base = 100\n{second}")) == [
        '49: meter "press-2": address 2 on this bus is meter "press-1" already; '
        "write the address that the device shows in its own menu"
    ]


def test_two_meters_with_one_address_and_another_ioa_base_share_a_station() -> None:
    second = '\n[[meter]]\nid = "feeder-2"\nbus = "station"\naddress = 5\nprofile = "x"\nioa_base = 200\n'
    assert list(parse(GOOD + second, FILE).meters)[-1] == "feeder-2"


def test_meters_with_one_host_of_their_own_share_its_addresses() -> None:
    own = '\n[[meter]]\nid = "{}"\nhost = "h{}"\nprotocol = "modbus-tcp"\naddress = 1\nprofile = "x"\n'
    assert parse(GOOD + own.format("a", 1) + own.format("b", 2), FILE).meters["b"].host == "h2"
    with pytest.raises(SiteFileError) as caught:
        parse(GOOD + own.format("a", 1) + own.format("b", 1), FILE)
    assert [(p.line, p.message) for p in caught.value.problems] == [
        (57, 'meter "b": address 1 on this bus is meter "a" already')
    ]


def test_a_bus_id_that_a_meter_of_its_own_would_get_is_refused() -> None:
    clash = '\n[[bus]]\nid = "modbus-tcp-h1-502"\nprotocol = "modbus-tcp"\nhost = "h9"\n'
    own = '\n[[meter]]\nid = "a"\nhost = "h1"\nprotocol = "modbus-tcp"\naddress = 1\nprofile = "x"\n'
    with pytest.raises(SiteFileError) as caught:
        parse(GOOD + clash + own, FILE)
    assert [(p.line, p.message) for p in caught.value.problems] == [
        (53, 'meter "a": its own bus would be called "modbus-tcp-h1-502", which is another wire')
    ]


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    bad = (
        GOOD.replace('timezone = "Asia/Shanghai"', 'timezone = "Mars/Base"')
        .replace("mqtts://broker.example:8883", "broker")
        .replace('parent = "main-1"', 'parent = "nobody"')
        .replace("address = 5", 'address = "5"\ncolour = "red"')
    )
    with pytest.raises(SiteFileError) as caught:
        parse(bad, FILE)
    assert [p.line for p in caught.value.problems] == [3, 6, 37, 42, 43]
    assert caught.value.reason == (
        'line 3: [site] timezone: unknown time zone "Mars/Base"; '
        'write an IANA name, e.g. "Asia/Shanghai" (and 4 more)'
    )


def test_an_empty_file_is_told_what_it_needs() -> None:
    with pytest.raises(SiteFileError) as caught:
        parse("", FILE)
    assert str(caught.value) == (
        '/etc/wattledger/site.toml:1: the table [site] is missing; write [site] with id = "plant-1"'
    )


def test_meters_that_are_no_list_are_told_how_to_write_them() -> None:
    with pytest.raises(SiteFileError) as caught:
        parse('[site]\nid = "a"\n[meter]\nid = "m"\n', FILE)
    assert [(p.line, str(p)) for p in caught.value.problems] == [
        (3, "meter is a list of tables; write [[meter]] for each")
    ]


def test_a_password_written_into_the_file_is_never_repeated() -> None:
    assert "s3cr3t" not in refusal(("[[bus]]\nid = \"rs485\"", 'password = "s3cr3t"\n[[bus]]\nid = "rs485"'))[0]
