"""What check finds in a valid file: profiles, ratios, factors, and buses that cannot keep up. With its exact line."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.carbon import Factor
from gateway.site.check import CheckReport, check, check_here
from gateway.site.factors import load_factors
from gateway.site.file import parse
from gateway.site.problem import with_lines
from gateway.site.profiles import profile_texts
from gateway.site.units import duration_text

FILE = Path("/etc/wattledger/site.toml")
TEXTS = profile_texts()
FACTORS = load_factors()
SITE = '[site]\nid = "plant-7"\n'
SERIAL = '[[bus]]\nid = "line"\nprotocol = "modbus-rtu"\ndevice = "/dev/ttyUSB0"\n'
TCP = '[[bus]]\nid = "hall"\nprotocol = "modbus-tcp"\nhost = "10.0.0.7"\n'
PROFILE = """
vendor = "x"
model = "y"
protocols = ["modbus-rtu"]
readings = [{ quantity = "QUANTITY", address = 0, type = "uint32" }]
"""
STATION = '[[bus]]\nid = "station"\nprotocol = "iec104"\nhost = "10.0.0.9"\n'


def meter(number: int, bus: str = "hall", profile: str = "eastron-sdm630", more: str = "") -> str:
    first = f'[[meter]]\nid = "m-{number}"\nbus = "{bus}"\naddress = {number}\nprofile = "{profile}"\n'
    return f'{first}{more}rated_power = "250 kW"\n'


def judged(text: str, factors: dict[str, Factor] = FACTORS) -> CheckReport:
    return check(parse(text, FILE), TEXTS, factors)


def errors(text: str) -> list[str]:
    return [f"{p.line}: {p}" for p in with_lines(judged(text).errors, text)]


def warnings(text: str) -> list[str]:
    return [f"{p.line}: {p}" for p in with_lines(judged(text).warnings, text)]


def test_a_good_file_has_neither_errors_nor_warnings() -> None:
    report = judged(SITE + TCP + meter(1))
    assert (report.errors, report.warnings) == ((), ())


def test_a_meter_without_rated_power_is_a_warning() -> None:
    text = SITE + TCP + meter(1).replace('rated_power = "250 kW"\n', "")
    (warning,) = warnings(text)
    assert warning.startswith('8: meter "m-1": without rated_power')


def test_an_unknown_profile_is_refused_with_the_nearest_names() -> None:
    assert errors(SITE + TCP + meter(1, profile="siemens-pac320")) == [
        '11: meter "m-1": unknown profile "siemens-pac320"; write "siemens-pac3200"'
    ]
    assert errors(SITE + TCP + meter(1, profile="zzz")) == [
        '11: meter "m-1": unknown profile "zzz"; write one of: wattledger profile list'
    ]


def test_a_profile_that_is_wrong_itself_is_refused_once() -> None:
    text = SITE + TCP + meter(1, profile="broken") + meter(2, profile="broken")
    report = check(parse(text, FILE), {"broken": 'vendor = "x"\n'}, FACTORS)
    assert [(p.line, p.message) for p in with_lines(report.errors, text)] == [
        (11, 'profile broken.toml: protocols = []: write ["iec104"] or some of modbus-tcp, modbus-rtu, modbus-rtu-tcp')
    ]


@pytest.mark.parametrize("key", ["ct", "vt"])
def test_a_ratio_is_refused_where_the_registers_carry_it(key: str) -> None:
    assert errors(SITE + TCP + meter(1, profile="acrel-dtsd1352", more=f'{key} = "200/5"\n')) == [
        f'12: meter "m-1": the registers of acrel-dtsd1352 carry the transformer ratio already; '
        f"write no {key}, and set the ratio in the meter itself"
    ]
    assert errors(SITE + TCP + meter(1, profile="abb-b23", more=f'{key} = "200/5"\n')) == []


def test_a_profile_for_another_protocol_is_refused() -> None:
    assert errors(SITE + STATION + meter(1, "station")) == [
        '11: meter "m-1": profile eastron-sdm630 speaks modbus-rtu, its bus iec104; '
        "write a profile for iec104, or another bus"
    ]
    assert errors(SITE + TCP + meter(1, profile="iec104-typical")) == [
        '11: meter "m-1": profile iec104-typical speaks iec104, its bus modbus-tcp; '
        "write a profile for modbus-tcp, or another bus"
    ]


def test_a_serial_profile_behind_a_tcp_gateway_is_fine() -> None:
    assert "modbus-tcp" not in TEXTS["eastron-sdm630"].split("protocols = ")[1].split("\n")[0]
    assert judged(SITE + TCP + meter(1)).errors == ()


def test_a_meter_with_a_total_counter_only_is_a_warning() -> None:
    total = PROFILE.replace("QUANTITY", "active_energy_total")
    text = SITE + TCP + meter(1, profile="total")
    report = check(parse(text, FILE), {"total": total}, FACTORS)
    assert report.errors == ()
    assert [f"{p.line}: {p}" for p in with_lines(report.warnings, text)] == [
        '11: meter "m-1": total has only a total counter, which is taken as import: '
        "right only where nothing can flow back"
    ]


def test_a_meter_without_a_counter_is_a_warning() -> None:
    power = PROFILE.replace("QUANTITY", "active_power")
    text = SITE + TCP + meter(1, profile="power")
    report = check(parse(text, FILE), {"power": power}, FACTORS)
    assert [(p.line, p.message) for p in with_lines(report.warnings, text)] == [
        (11, 'meter "m-1": power has no energy counter: energy is integrated from power and flagged "derived"')
    ]


def test_polls_rarer_than_the_energy_interval_are_a_warning() -> None:
    assert warnings(SITE + TCP + meter(1, more='interval = "1h"\n')) == [
        '12: meter "m-1": interval 1h is longer than energy_interval: energy has no shape inside; '
        'write "15m" or less'
    ]


# 226 ms per SDM630 at 9600 8N1, as `drivers.plan.rtu_ms` has it
def test_a_line_that_cannot_keep_its_interval_is_refused_with_the_shortest_that_fits() -> None:
    text = SITE + SERIAL + "".join(meter(n, "line", more='interval = "1s"\n') for n in range(1, 6))
    assert errors(text) == [
        '3: bus "line": 5 meters need 1.1 s, the interval is 1s: 113% of its time; '
        'write interval = "2s" for its meters, fewer meters, a faster line, or overload = "stretch" for the bus'
    ]
    [load] = judged(text).buses
    assert duration_text(load.fits_ms) == "2s"
    slower = text.replace('interval = "1s"', 'interval = "2s"')
    assert errors(slower) == []


def test_a_line_nearly_full_is_a_warning() -> None:
    text = SITE + SERIAL + "".join(meter(n, "line", more='interval = "1s"\n') for n in range(1, 5))
    assert errors(text) == []
    assert warnings(text) == [
        '3: bus "line": 4 meters need 0.9 s, the interval is 1s: 90% of its time, nothing is left for repeats'
    ]
    three = SITE + SERIAL + "".join(meter(n, "line", more='interval = "1s"\n') for n in range(1, 4))
    assert warnings(three) == []


def test_stretch_permits_an_overloaded_line() -> None:
    text = SITE + SERIAL + 'overload = "stretch"\n'
    text += "".join(meter(n, "line", more='interval = "1s"\n') for n in range(1, 6))
    assert errors(text) == []
    assert warnings(text) == [
        '3: bus "line": 5 meters need 1.1 s, the interval is 1s: 113% of its time: '
        'polls will come late and be skipped; write interval = "2s" for its meters'
    ]


def test_a_faster_line_carries_more() -> None:
    text = SITE + SERIAL + "baud = 115200\n" + "".join(
        meter(n, "line", more='interval = "1s"\n') for n in range(1, 6)
    )  # fmt: skip
    assert errors(text) == []


def test_meters_of_different_intervals_share_the_time_of_a_line() -> None:
    text = SITE + SERIAL + meter(1, "line", more='interval = "1s"\n') + meter(2, "line", more='interval = "10s"\n')
    [load] = judged(text).buses
    [first, second] = judged(text).plans
    assert load.utilisation == pytest.approx(first.ms / 1000 + second.ms / 10_000)
    assert load.round_ms == pytest.approx(first.ms + second.ms)


def test_a_line_behind_a_gateway_counts_when_its_speed_is_known() -> None:
    meters = "".join(meter(n, more='interval = "1s"\n') for n in range(1, 6))
    assert errors(SITE + TCP + meters) == []
    assert errors(SITE + TCP + "baud = 9600\n" + meters)[0].startswith('3: bus "hall": 5 meters need')


def test_a_network_that_cannot_keep_its_interval_is_refused_as_an_estimate() -> None:
    text = SITE + TCP + "".join(meter(n, more='interval = "500ms"\n') for n in range(1, 31))
    assert errors(text)[0].startswith('3: bus "hall": 30 meters need about 0.6 s, the interval is 500ms: 120%')


def test_the_wire_of_a_single_meter_is_named_by_the_meter() -> None:
    own = meter(1, more='interval = "1s"\n').replace(
        'bus = "hall"', 'host = "10.0.0.8"\nprotocol = "modbus-rtu-tcp"'
    )
    [load] = judged(SITE + own).buses
    assert (load.bus, load.meters) == ("modbus-rtu-tcp-10-0-0-8-502", 1)
    fast = own.replace('"1s"', '"100ms"')
    crowd = "".join(fast.replace('"m-1"', f'"m-{n}"').replace("address = 1", f"address = {n}") for n in range(1, 7))
    assert errors(SITE + crowd)[0].startswith('3: bus "modbus-rtu-tcp-10-0-0-8-502": 6 meters need')


def test_iec104_has_no_bus_budget() -> None:
    report = judged(SITE + STATION + meter(1, "station", "iec104-typical", 'interval = "1s"\n'))
    [load], [plan] = report.buses, report.plans
    assert (load.utilisation, plan.blocks, plan.registers) == (0, (), 0)
    assert plan.quantities > 0
    assert report.errors == ()


def test_an_unknown_factor_is_refused_with_the_nearest_names() -> None:
    text = SITE + '[carbon]\nfactor = "cn.grid.national.2032"\n'
    assert errors(text) == [
        '4: unknown carbon factor "cn.grid.national.2032"; '
        'write "cn.grid.national.2023" or "cn.grid.national.2022" or "cn.grid.national.2021"'
    ]


def test_a_residual_mix_is_refused_for_the_location_based_figure() -> None:
    text = SITE + '[carbon]\nfactor = "cn.grid.national-excl-market.2023"\n'
    assert errors(text) == [
        '4: factor "cn.grid.national-excl-market.2023" (scope 2-market-residual) '
        'cannot be used for profile "ghgp-location"; write a factor of scope 2-location'
    ]
    assert errors(text + 'profiles = ["ghgp-market"]\n') == []


def test_a_factor_that_is_not_scope_2_is_refused() -> None:
    known = FACTORS["cn.grid.national.2023"]
    footprint = replace(known, id="cn.footprint.2023", scope="3/LCA")
    report = judged(SITE + '[carbon]\nfactor = "cn.footprint.2023"\n', {**FACTORS, footprint.id: footprint})
    assert "(scope 3/LCA) cannot be used" in report.errors[0].message


def test_the_market_based_figure_with_a_grid_average_is_a_warning() -> None:
    text = SITE + '[carbon]\nprofiles = ["ghgp-location", "ghgp-market"]\n'
    assert errors(text) == []
    assert "4: profile \"ghgp-market\" with the grid average" in "\n".join(warnings(text + TCP + meter(1)))


def test_what_proves_or_protects_less_is_a_warning() -> None:
    mqtt = (
        '[mqtt]\nurl = "mqtt://broker.example"\nversion = "3.1.1"\nusername = "u"\npassword_file = "p"\n'
        'streams = ["events",\n "manifests"]\n'
    )
    assert [line.split(";")[0] for line in warnings(SITE + mqtt + TCP + meter(1))] == [
        "4: the password goes over the network in clear text",
        "5: MQTT 3.1.1 has no reason codes: an acknowledgement does not prove that the broker kept a batch",
        '9: stream "manifests" is not yet available: nothing is sent on it',
    ]


def test_a_site_without_meters_is_a_warning() -> None:
    assert warnings(SITE) == ["1: no meter is configured; write [[bus]] and [[meter]]: wattledger config example"]


def test_the_plan_names_every_block() -> None:
    [plan] = judged(SITE + SERIAL + meter(1, "line")).plans
    assert plan.blocks == ((4, 52, 28), (4, 0, 30), (4, 200, 6))
    assert plan.registers == 64
    tc = 10 / 9.6  # ms per character at 9600 8N1
    assert plan.ms == pytest.approx(sum((13 + 2 * n) * tc + 7 * tc + 10 for n in (28, 30, 6)))


def test_all_errors_come_together() -> None:
    text = SITE + '[carbon]\nfactor = "none"\n' + TCP + meter(1, profile="x") + meter(2, profile="acrel-dtsd1352",
                                                                                     more='ct = "200/5"\n')
    assert [int(e.split(":")[0]) for e in errors(text)] == [4, 13, 20]


def test_the_profiles_and_factors_of_this_installation_can_all_be_used() -> None:
    for name in TEXTS:
        bus, wire = (STATION, "station") if name.startswith("iec104") else (TCP, "hall")
        report = check_here(parse(SITE + bus + meter(1, wire, name), FILE))
        assert report.errors == (), name
        assert report.streams[0].bytes_per_row > 100, name
