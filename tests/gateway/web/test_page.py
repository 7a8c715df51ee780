"""The page in a real browser: what a person sees, in both languages, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--window-size=1280,1400",
)  # fmt: skip
WAIT_S = 15


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


class Page:
    """The page of one server, as a reader meets it."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        driver.get_log("browser")
        driver.get_log("performance")
        driver.get(url)
        self.until(lambda: self.sentence != "")

    def until(self, condition: Callable[[], bool]) -> None:
        WebDriverWait(self.driver, WAIT_S, poll_frequency=0.1).until(lambda _: condition())

    def text(self, css: str) -> str:
        found: str = self.driver.execute_script("return document.querySelector(arguments[0]).innerText", css)
        return " ".join(found.split())

    @property
    def sentence(self) -> str:
        return self.text("#sentence")

    def row(self, meter: str) -> list[str]:
        return [
            " ".join(text.split())
            for text in self.driver.execute_script(
                "return [...document.querySelectorAll(`tr[data-meter=${arguments[0]}] td`)].map((td) => td.innerText)",
                meter,
            )
        ]

    def shown(self, css: str) -> bool:
        return self.driver.find_element(By.CSS_SELECTOR, css).is_displayed()

    def click(self, css: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, css).click()

    def color(self, css: str) -> str:
        script = "return getComputedStyle(document.querySelector(arguments[0])).color"
        return str(self.driver.execute_script(script, css))

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"]

    def hosts(self) -> set[str]:
        """Every host that the page asked anything of."""
        asked = re.findall(r'"url":"((?:https?|wss?)://[^"]+)"', str(self.driver.get_log("performance")))
        return {urlsplit(url).netloc for url in asked}


@pytest.fixture
def open_page(chromium: webdriver.Chrome, serve: Callable[[Any], Any]) -> Iterator[Callable[[Any], Page]]:
    pages: list[Page] = []

    def opened(plant: Any) -> Page:
        pages.append(Page(chromium, serve(plant).url))
        return pages[-1]

    yield opened
    chromium.execute_script("localStorage.clear()")
    chromium.get("about:blank")


def test_the_page_shows_what_the_files_say(plant: Any, open_page: Callable[[Any], Page]) -> None:
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


def test_figures_follow_the_live_file_and_the_ledger(plant: Any, open_page: Callable[[Any], Page]) -> None:
    plant.fill_ledger(minutes=3)
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.row("oven")[1] == "61.1")
    plant.write_live(powers=plant.powers | {"oven": 44_440.0})
    page.until(lambda: page.row("oven")[1] == "44.4")
    plant.commit(events=plant.events(plant.now_ms)[:1])
    page.until(lambda: page.driver.execute_script("return document.querySelectorAll('#event-rows li').length") == 6)


def test_a_gas_that_is_co2e_is_called_so(plant: Any, open_page: Callable[[Any], Page]) -> None:
    plant.gas = "CO2e"
    plant.write_live()
    page = open_page(plant)
    page.until(lambda: page.text("#tile-co2") == "895.2")
    assert (page.text("#tile-co2-name"), page.text("#meters-gas")) == ("CO₂e today", "CO₂e")


def test_when_metering_stops_the_figures_grey_out_and_tell_their_age(
    plant: Any, open_page: Callable[[Any], Page]
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
    plant: Any, serve: Callable[[Any], Any], chromium: webdriver.Chrome
) -> None:
    plant.write_live()
    server = serve(plant)
    page = Page(chromium, server.url)
    page.until(lambda: page.text("#tile-power") == "182.4")
    server.stop()
    page.until(lambda: page.sentence == "This page has lost its gateway.")
    assert "No connection to the gateway" in page.text("#stale-note")
    plant.web, plant.name = "", "Plant 7, renamed"
    plant.listen = f"127.0.0.1:{server.port}"
    plant.write_live()
    serve(plant)
    page.until(lambda: page.text("#site-name") == "Plant 7, renamed" and page.sentence.startswith("All 4"))


def test_a_silent_meter_is_named_marked_and_greyed(plant: Any, open_page: Callable[[Any], Page]) -> None:
    plant.silent = {"oven": 95_000}
    plant.write_live()
    page = open_page(plant)
    assert page.sentence.startswith("1 of 4 meters is silent: Curing oven.")
    page.until(lambda: page.row("oven")[0].endswith("silent"))
    assert page.color("tr[data-meter=oven] .power") != page.color("tr[data-meter=main-1] .power")
    assert re.fullmatch(r"9\d s", page.row("oven")[5])


def test_the_language_is_the_sites_and_can_be_changed_for_good(plant: Any, open_page: Callable[[Any], Page]) -> None:
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
    plant: Any, open_page: Callable[[Any], Page]
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


def test_nobody_subscribes_is_said_in_those_words(plant: Any, open_page: Callable[[Any], Page]) -> None:
    plant.write_live()
    stream = {"last_seq": 9, "cursor": 2, "waiting": 7, "no_subscriber": True, "stuck": False, "history_differs": False}
    plant.write_uplink(streams={"intervals": stream})
    page = open_page(plant)
    assert "The broker is there, but nobody subscribes; 7 rows wait here." in page.sentence
    assert page.text("#upload-state") == "The broker is there, nobody subscribes"


def test_before_the_first_start_the_page_says_what_to_do(plant: Any, open_page: Callable[[Any], Page]) -> None:
    page = open_page(plant)
    assert page.sentence == "Metering has not started."
    assert "wattledger run" in page.text("#setup")
    assert page.complaints() == []


def test_without_meters_the_page_says_how_to_add_them(plant: Any, open_page: Callable[[Any], Page]) -> None:
    plant.meters = ()
    page = open_page(plant)
    assert page.sentence == "No meter is configured yet."
    assert "wattledger config example" in page.text("#setup")
    assert not page.shown("#meters")
    assert page.complaints() == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_width_scrolls_sideways(plant: Any, open_page: Callable[[Any], Page], width: int) -> None:
    plant.language = "zh"
    plant.name = "A plant with a very long name that somebody once wrote into its configuration"
    plant.fill_ledger(minutes=5)
    plant.write_uplink()
    plant.powers["main-1"] = 12_345_678.9
    plant.write_live()
    page = open_page(plant)
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.until(lambda: page.text("#tile-power") == "12,346")
        inner = page.driver.execute_script("return document.documentElement.clientWidth")
        assert inner == width
        assert page.driver.execute_script("return document.documentElement.scrollWidth") == width
        cut = page.driver.execute_script(
            "return [...document.querySelectorAll('.meters .number, .figure')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')"
            ".map((e) => e.innerText)"
        )
        assert cut == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(
    plant: Any, chromium: webdriver.Chrome, open_page: Callable[[Any], Page], scheme: str
) -> None:
    plant.fill_ledger(minutes=5)
    plant.write_uplink()
    plant.silent = {"oven": 95_000}
    plant.write_live()
    feature = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    try:
        page = open_page(plant)
        page.until(lambda: page.row("oven")[0].endswith("silent"))
        assert page.driver.execute_script(CONTRAST, scheme) == []
    finally:
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


# WCAG 2 relative luminance; 4.5 for text, 3 for figures that are greyed out on purpose.
CONTRAST = """
const lum = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c.slice(0, 3);
  }
  return arguments[0] === "dark" ? [0, 0, 0] : [255, 255, 255];
};
const poor = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length || e.closest(".visually-hidden, noscript")) continue;
  const [a, b] = [lum(parse(getComputedStyle(e).color).slice(0, 3)), lum(behind(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const floor = e.closest(".silent, .meters th small") ? 3 : 4.5;
  if (ratio < floor) poor.push(`${e.tagName}.${e.className} ${e.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
}
return poor;
"""
