"""One headless Chromium, driven over WebDriver: it opens pages as a phone, at night, on paper or without scripts.

Nothing is downloaded: browser and driver are those of the machine, and where they are missing one line says so.
"""

import json
import shutil
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DRIVERS = ("chromedriver", "chromium.chromedriver", "chromium-driver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--metrics-recording-only",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
)
PAGE_LOAD_S = 30


class NoBrowser(RuntimeError):
    """There is no browser here, or no driver for it; the message says what to install."""


@dataclass(frozen=True)
class Seen:
    """How a page is looked at."""

    width: int = 1280  # CSS pixels
    height: int = 900
    scheme: Literal["light", "dark"] = "light"
    medium: Literal["screen", "print"] = "screen"
    phone: bool = False
    scripts: bool = True

    def __str__(self) -> str:
        extra = "" if self.scripts else ", without scripts"
        return f"{self.width} px, {self.scheme}, {self.medium}{extra}"


DESK = Seen()
NIGHT = Seen(scheme="dark")
PHONE = Seen(width=390, height=844, phone=True)
PHONE_AT_NIGHT = Seen(width=390, height=844, phone=True, scheme="dark")
PAPER = Seen(width=718, height=1047, medium="print")  # A4 at 96 pixels an inch, less margins of a centimetre
WITHOUT_SCRIPTS = Seen(scripts=False)


def find_program(names: Sequence[str], what: str) -> str:
    """Path of the first of these programs that is there.

    Raises:
        NoBrowser: none is; the message says what to install.
    """
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowser(
            f"{what} is not here (looked for {', '.join(names)}); on Debian: apt-get install chromium chromium-driver"
        )
    return found


class Chromium:
    """A running browser with one tab; `with` ends it.

    Args:
        profile: An empty folder for it to keep its own files in.
    """

    def __init__(self, profile: Path) -> None:
        options = ChromeOptions()
        options.binary_location = find_program(BROWSERS, "Chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = find_program(DRIVERS, "Chromium's driver")
        self._driver = Chrome(options=options, service=Service(driver))  # given a path, Selenium looks nowhere else
        self._driver.set_page_load_timeout(PAGE_LOAD_S)
        self.cdp("Network.enable", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.quit()

    def open(self, address: str, seen: Seen = DESK) -> None:
        """Open a page; what the page before it logged is forgotten."""
        self._driver.get("about:blank")
        self._look(seen)
        self.console(), self.requests()
        self._driver.get(address)

    def _look(self, seen: Seen) -> None:
        size = {"width": seen.width, "height": seen.height, "deviceScaleFactor": 2 if seen.phone else 1}
        self.cdp("Emulation.setDeviceMetricsOverride", {**size, "mobile": seen.phone})
        features = [{"name": "prefers-color-scheme", "value": seen.scheme}]
        self.cdp("Emulation.setEmulatedMedia", {"media": seen.medium, "features": features})
        self.cdp("Emulation.setScriptExecutionDisabled", {"value": not seen.scripts})

    def run(self, script: str, *values: Any) -> Any:
        """What a function body gives in the page."""
        return self._driver.execute_script(script, *values)

    def cdp(self, command: str, values: dict[str, Any]) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        answer: dict[str, Any] = self._driver.execute_cdp_cmd(command, values)
        return answer

    def console(self) -> list[str]:
        """What was logged since the last look: level and words."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last look."""
        messages = [json.loads(entry["message"])["message"] for entry in self._driver.get_log("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]

    def tab(self) -> None:
        """Press the tab key."""
        ActionChains(self._driver, duration=0).send_keys(Keys.TAB).perform()

    def click(self, css: str) -> None:
        """Click the first thing that fits a selector; a page that it leads to is waited for."""
        self._driver.find_element("css selector", css).click()

    def type(self, css: str, words: str) -> None:
        """Type words into a field and press Enter."""
        self._driver.find_element("css selector", css).send_keys(words, Keys.ENTER)

    def alert(self) -> str | None:
        """The words of a dialogue that the page opened; it is closed."""
        from selenium.common.exceptions import NoAlertPresentException

        try:
            dialogue = self._driver.switch_to.alert
            words = str(dialogue.text)
            dialogue.dismiss()
        except NoAlertPresentException:
            return None
        return words

    def html(self) -> str:
        return str(self._driver.page_source)

    def picture(self, whole: bool = True) -> bytes:
        """The page as PNG: all of it, or what fits the window."""
        answer = self.cdp("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        return b64decode(answer["data"])

    def paper(self) -> bytes:
        """The page as a PDF, on A4."""
        size = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True, "preferCSSPageSize": True}
        return b64decode(self.cdp("Page.printToPDF", size)["data"])
