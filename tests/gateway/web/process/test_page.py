"""The page in a real browser: what a person sees and does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver.common.by import By

Open = Callable[[Any], Any]


def test_the_page_shows_what_the_files_say(plant: Any, open_page: Open) -> None:
    plant.fill_ledger(minutes=30)
    plant.write_uplink()
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.row("press-1")[1] == "96.3")
    assert page.sentence == "All 4 meters answer. Uploads are up to date."
    assert page.row("press-1") == ["Press 1 press-1 answers", "96.3", "890", "0.955", "472.4", page.row("press-1")[5]]
    assert re.fullmatch(r"\d s", page.row("press-1")[5])
    assert page.row("press-2")[:3] == ["press-2 answers", "0.0", "0"]
    tiles = ("#tile-power", "#tile-energy", "#tile-pf", "#tile-co2")
    assert [page.text(css) for css in tiles] == ["182.4", "1,687", "0.955", "895.2"]
    assert page.text("#tile-co2-name") == "CO₂ today"
    assert page.text("#site-name") == "Plant 7, Suzhou"
    assert page.text("#upload-state") == "Connected, everything is proven received"
    assert page.text("#upload-stream-rows tr") == "Intervals 5,000 0"
    assert page.text("#bus-rows") == "hall-a 42% busy · 2 polls skipped"
    assert "free" in page.text("#storage-state")
    page.until(lambda: "bus hall-a is back" in page.text("#event-rows"))
    assert page.driver.execute_script("return document.querySelectorAll('#event-rows li').length") == 5
    page.until(lambda: "Mean power per 1 min. Peak" in page.text("#load-note"))
    assert page.driver.execute_script("return document.querySelectorAll('#chart canvas').length") == 1
    assert page.complaints() == []
    assert page.hosts() == {urlsplit(page.url).netloc}


def test_figures_follow_the_live_file_and_the_ledger(plant: Any, open_page: Open) -> None:
    plant.fill_ledger(minutes=3)
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.row("oven")[1] == "61.1")
    plant.write_live(powers=plant.powers | {"oven": 44_440.0})
    page.until(lambda: page.row("oven")[1] == "44.4")
    plant.commit(events=plant.events(plant.now_ms)[:1])
    page.until(lambda: page.driver.execute_script("return document.querySelectorAll('#event-rows li').length") == 6)


def test_a_gas_that_is_co2e_is_called_so(plant: Any, open_page: Open) -> None:
    plant.gas = "CO2e"
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.text("#tile-co2") == "895.2")
    assert (page.text("#tile-co2-name"), page.text("#meters-gas")) == ("CO₂e today", "CO₂e")


def test_when_metering_stops_the_figures_grey_out_and_tell_their_age(
    plant: Any, open_page: Open
) -> None:
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.text("#tile-power") == "182.4" and not page.shown("#stale-note"))
    fresh = page.color("#tile-power")
    plant.write_live(age_ms=61_000)
    page.until(lambda: page.shown("#stale-note"))
    assert re.search(r"figures are 6\d s old. See why with wattledger status", page.text("#stale-note"))
    page.until(lambda: page.sentence.startswith("Metering has stopped."))
    page.until(lambda: page.color("#tile-power") not in (fresh, ""))
    assert re.fullmatch(r"6\d s", page.row("press-1")[5])
    plant.write_live()
    page.until(lambda: page.sentence.startswith("All 4 meters answer.") and not page.shown("#stale-note"))


def test_when_the_gateway_is_gone_the_page_says_so_and_comes_back(
    plant: Any, serve: Open, browse: Open
) -> None:
    plant.write_live()
    server = serve(plant)
    page = browse(server.url)
    page.until(lambda: page.text("#tile-power") == "182.4")
    server.stop()
    page.until(lambda: page.sentence == "This page has lost its gateway.")
    assert "No connection to the gateway" in page.text("#stale-note")
    plant.web, plant.name = "", "Plant 7, renamed"
    plant.listen = f"127.0.0.1:{server.port}"
    plant.write_live()
    serve(plant)
    page.until(lambda: page.text("#site-name") == "Plant 7, renamed" and page.sentence.startswith("All 4"))


def test_a_silent_meter_is_named_marked_and_greyed(plant: Any, open_page: Open) -> None:
    plant.silent = {"oven": 95_000}
    plant.write_live()
    page = open_page(plant)
    assert page.sentence.startswith("1 of 4 meters is silent: Curing oven.")
    page.until(lambda: page.row("oven")[0].endswith("silent"))
    assert page.color("tr[data-meter=oven] .power") != page.color("tr[data-meter=main-1] .power")
    assert re.fullmatch(r"9\d s", page.row("oven")[5])


def test_what_a_generator_exports_carries_the_sign_of_its_power(plant: Any, open_page: Open) -> None:
    plant.meters = (*plant.meters, ("pv-1", "Rooftop", "generation", "main-1", 100))
    plant.powers["pv-1"] = -20_000.0
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.row("pv-1")[1:3] == ["-20.0", "-185"])


def test_a_meter_in_trouble_says_why(plant: Any, open_page: Open) -> None:
    plant.silent = {"oven": 95_000}
    plant.trouble = {"oven": {"since_ms": 1, "reason": "no answer within 1 s", "hint": ""}}
    plant.quality = {"press-1": ["partial"], "press-2": ["derived"]}
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.row("oven")[0] == "Curing oven oven silent no answer within 1 s")
    assert page.row("press-1")[0] == "Press 1 press-1 answers Quality: partial"
    assert page.row("press-2")[0] == "press-2 answers"


def test_a_page_that_was_hidden_shows_current_figures_when_it_is_seen_again(plant: Any, open_page: Open) -> None:
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.text("#tile-power") == "182.4")
    home = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    plant.write_live(powers=plant.powers | {"main-1": 99_000.0})
    page.driver.close()
    page.driver.switch_to.window(home)
    page.until(lambda: page.text("#tile-power") == "99.00")
    page.until(lambda: page.sentence.startswith("All 4 meters answer."))


def test_the_page_opens_with_the_password_in_its_address(
    plant: Any, serve: Open, browse: Open
) -> None:
    (plant.path / "secret").write_text("kilowatt")
    plant.web = 'password_file = "secret"'
    plant.write_live()
    page = browse(serve(plant).url.replace("//", "//wattledger:kilowatt@"))
    page.until(lambda: page.text("#tile-power") == "182.4")
    assert page.complaints() == []


def test_the_language_is_the_sites_and_can_be_changed_for_good(plant: Any, open_page: Open) -> None:
    plant.language = "zh"
    plant.fill_ledger(minutes=2)
    plant.write_uplink()
    plant.write_live()
    page = open_page(plant)
    assert page.sentence == "全部 4 块电表应答正常。数据已全部上传。"
    assert page.driver.execute_script("return document.documentElement.lang") == "zh-CN"
    page.until(lambda: "总线 hall-a 已恢复" in page.text("#event-rows"))
    page.click("#language")
    page.until(lambda: page.sentence == "All 4 meters answer. Uploads are up to date.")
    assert "bus hall-a is back" in page.text("#event-rows")
    assert page.text("#load-title") == "Load today"
    page.driver.refresh()
    page.until(lambda: page.sentence == "All 4 meters answer. Uploads are up to date.")
    assert page.complaints() == []


def test_a_meter_can_be_chosen_with_the_keyboard_for_its_load_curve(
    plant: Any, open_page: Open
) -> None:
    plant.fill_ledger(minutes=30)
    plant.write_live()
    page = open_page(plant)
    button = page.driver.find_element(By.CSS_SELECTOR, "tr[data-meter=press-1] button")
    button.send_keys("\n")
    page.until(lambda: page.text("#load-legend") == "Site Press 1")
    assert button.get_attribute("aria-pressed") == "true"
    button.send_keys("\n")
    page.until(lambda: page.text("#load-legend") == "Site")
    assert page.complaints() == []


def test_nobody_subscribes_is_said_in_those_words(plant: Any, open_page: Open) -> None:
    plant.write_live()
    stream = {"last_seq": 9, "cursor": 2, "waiting": 7, "no_subscriber": True, "stuck": False, "history_differs": False}
    plant.write_uplink(streams={"intervals": stream})
    page = open_page(plant)
    assert "The broker is there, but nobody subscribes; 7 rows wait here." in page.sentence
    assert page.text("#upload-state") == "The broker is there, nobody subscribes"


def test_before_the_first_start_the_page_says_what_to_do(plant: Any, open_page: Open) -> None:
    page = open_page(plant)
    assert page.sentence == "Metering has not started."
    assert "wattledger run" in page.text("#setup")
    assert page.complaints() == []


def test_without_meters_the_page_says_how_to_add_them(plant: Any, open_page: Open) -> None:
    plant.meters = ()
    page = open_page(plant)
    assert page.sentence == "No meter is configured yet."
    assert "wattledger config example" in page.text("#setup")
    assert not page.shown("#meters")
    assert page.complaints() == []
