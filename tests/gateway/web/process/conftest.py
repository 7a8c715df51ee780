"""The real web process in a thread, and a real browser in front of it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from gateway.site.settings import Settings
from gateway.web.main import run_web

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--window-size=1280,1400",
)  # fmt: skip
WAIT_S = 15



class Server:
    """`run_web` in a thread with a loop of its own; `url` once it listens."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self.url = ""
        self._thread = threading.Thread(target=self._run, name="web")
        self._thread.start()
        assert self._up.wait(10), "web does not listen"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 raised again in the test's thread
            self._error = error
        finally:
            self._up.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await run_web(self._settings, stop=self._stop, ready=self._ready)

    def _ready(self, url: str) -> None:
        self.url = url
        self._up.set()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> float:
        """Seconds that the stop took."""
        began = time.monotonic()
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "web does not end"
        if self._error is not None:
            raise self._error
        return time.monotonic() - began


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Server]]:
    """Start the web process for a plant; stopped at the end of the test."""
    with ExitStack() as running:

        def start(plant: Any) -> Server:
            return running.enter_context(_served(plant))

        yield start


@contextmanager
def _served(plant: Any) -> Iterator[Server]:
    server = Server(plant.settings())
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
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
def browse(chromium: webdriver.Chrome) -> Iterator[Callable[[str], Page]]:
    """Open an address. Each server has a port and so an origin of its own: nothing is remembered."""
    yield lambda url: Page(chromium, url)
    chromium.get("about:blank")


@pytest.fixture
def open_page(serve: Callable[[Any], Any], browse: Callable[[str], Page]) -> Callable[[Any], Page]:
    """Serve a plant and open its page."""
    return lambda plant: browse(serve(plant).url)
