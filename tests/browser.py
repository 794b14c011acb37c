"""A page in a headless Chromium: what a user does there, and what is seen then."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from urllib3.exceptions import HTTPError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS: Final = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1500,1300",
)  # fmt: skip
PATIENCE: Final = 30.0
"""Seconds that a page may take until it is as a test expects it."""


def chromium() -> tuple[str, str] | None:
    """Paths of Chromium and its driver; None where one is missing."""
    browser, driver = next(filter(None, map(shutil.which, NAMES)), None), shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def _held(chain: ActionChains, key: str) -> Iterator[None]:
    """Hold a key, where one is named, during what is added to the chain."""
    if key:
        chain.key_down(key)
    yield
    if key:
        chain.key_up(key)


class Browser:
    """A Chromium whose downloads go to ``folder``."""

    def __init__(self, folder: Path) -> None:
        found = chromium()
        assert found is not None
        options = webdriver.ChromeOptions()
        options.binary_location = found[0]
        self.downloads = folder / "downloads"
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": str(self.downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._options, self._driver_path = options, found[1]
        self.driver = self._started()

    def _started(self) -> webdriver.Chrome:
        """With a new profile, which chromedriver makes and removes."""
        return webdriver.Chrome(options=self._options, service=webdriver.ChromeService(self._driver_path))

    def open(self, page: Path) -> None:
        """Load a page, and wait until its first picture is there; a browser that no longer answers starts anew."""
        try:
            self.driver.get("about:blank")  # asks nothing about exclusions that are not saved
            self.driver.get(page.as_uri())
        except (WebDriverException, HTTPError):
            self.driver.service.stop()
            self.driver = self._started()
            self.driver.get(page.as_uri())
        self.until(lambda: self.run("return document.documentElement.dataset.ready"))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, is_so: Callable[[], Any]) -> Any:
        """What ``is_so`` gives as soon as it is true."""
        end = time.monotonic() + PATIENCE
        while not (found := is_so()):
            assert time.monotonic() < end, "the page does not come to it"
            time.sleep(0.02)
        return found

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        self.find(selector).click()

    def choose(self, selector: str, text: str) -> None:
        """Choose an entry of a list by its value."""
        Select(self.find(selector)).select_by_value(text)

    def type(self, selector: str, text: str) -> None:
        self.find(selector).send_keys(text)

    def at(self, row: float, col: float, *, click: bool = False, holding: str = "") -> None:
        """Move the pointer to a place of the micrograph (px, pixel centres), and click there, holding a key."""
        stage = self.find("#stage")
        self.run("arguments[0].scrollIntoView({block: 'center'})", stage)
        view = self.run("return report.picture.view")
        size = self.run("return [arguments[0].clientWidth, arguments[0].clientHeight]", stage)
        x = (col + 0.5) * view["scale"] + view["left"] - size[0] / 2
        y = (row + 0.5) * view["scale"] + view["top"] - size[1] / 2
        chain = ActionChains(self.driver, duration=0).move_to_element_with_offset(stage, round(x), round(y))
        if click:
            with _held(chain, holding):
                chain.click()
        chain.perform()

    def keys(self, selector: str, *keys: str, holding: str = "") -> None:
        """Press keys while an element has the focus, holding another."""
        self.run("document.querySelector(arguments[0]).focus()", selector)
        chain = ActionChains(self.driver)
        with _held(chain, holding):
            chain.send_keys(*keys)
        chain.perform()

    def statistics(self) -> dict[str, dict[str, float | None]]:
        """Group → statistic → value, as the table of statistics has them; None where one is not defined."""
        script = """return Object.fromEntries([...document.querySelectorAll("#statistics tbody tr")].map((row) => [
            row.dataset.group, Object.fromEntries([...row.cells].slice(1).map((cell) =>
                [cell.dataset.statistic, cell.dataset.value]))]))"""
        found = self.run(script).items()
        return {group: {k: None if v == "NaN" else float(v) for k, v in of.items()} for group, of in found}

    def download(self, selector: str, name: str) -> str:
        """What a button saves under a name."""
        path = self.downloads / name
        path.unlink(missing_ok=True)
        self.click(selector)
        self.until(path.is_file)
        return path.read_text("utf-8")

    def complaints(self) -> list[str]:
        """What the console got since the last call."""
        return [json.dumps(entry) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
