"""Open WebUI's page as a user sees it, driven in a headless Chromium of Debian's. Selectors are those of 0.12.4."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ARTEFACTS = Path(__file__).parents[3] / "compat/artefacts"
SHORT, LONG = 30, 240
"""How long the page may take for a click, and a model on a busy machine for an answer; seconds."""
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en-US"),
    *("--window-size=1280,1000", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
)
TOASTS = """return [...document.querySelectorAll('[data-sonner-toast]')]
  .filter(e => getComputedStyle(e).opacity > 0.9).map(e => [e.dataset.type, e.innerText])"""
ANSWERS = "return [...document.querySelectorAll('.chat-assistant')].map(e => e.innerText)"
BOX = "#chat-input"
STOP = "button[aria-label='Stop']"
PERCENT = re.compile(r"\b\d{1,2}(\.\d+)?%")
TAG = "input[placeholder^='Enter model tag (e.g. mistral']"


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A Chromium with a profile of its own, which is gone afterwards."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    profile = tempfile.mkdtemp(prefix="hoshikage-chromium-")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


class Page:
    """What a user does on the page, and what he sees."""

    def __init__(self, driver: Any, url: str) -> None:
        self._driver = driver
        self._url = url

    def open(self, path: str = "/") -> None:
        self._driver.get(self._url + path)
        self.until(lambda: self._shown(BOX) or self._shown(TAG), SHORT)
        with contextlib.suppress(WebDriverException):
            self._driver.find_element(By.XPATH, '//button[contains(., "Okay, Let\'s Go!")]').click()

    def until(self, reached: Callable[[], Any], seconds: float = LONG) -> Any:
        """What `reached` gives as soon as it is true; raises TimeoutException otherwise."""
        waiting = WebDriverWait(self._driver, seconds, 0.1, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(lambda _: reached())

    def picture(self, name: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        self._driver.save_screenshot(str(ARTEFACTS / f"{name}.png"))

    def choose(self, model: str) -> None:
        """Choose the model in the menu."""
        self._menu()
        self._click(f"button[role=option][data-value='{model}']")
        self.until(lambda: self._shown(f"[aria-label='Selected model: {model}']"), SHORT)

    def listed(self) -> list[str]:
        """The names in the menu."""
        self._menu()
        found = self.until(lambda: self._all("button[role=option][data-value]"), SHORT)
        names = [each.get_attribute("data-value") for each in found]
        self._driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        return names

    def eject(self) -> None:
        """Unload the model that is loaded, by the button that shows beside it in the menu."""
        self._menu()
        button = self.until(lambda: self._all("button[aria-label='Eject model']"), SHORT)[0]
        self._driver.execute_script("arguments[0].click()", button)

    def send(self, text: str) -> None:
        box = self.until(lambda: self._shown(BOX), SHORT)
        box.click()
        box.send_keys(text)
        self.until(lambda: self._enabled("#send-message-button"), LONG)
        self._click("#send-message-button")

    def ask(self, text: str, seconds: float = LONG) -> str:
        """Send it, and wait so long for the end of the answer; that answer."""
        before = len(self.answers())
        self.send(text)
        self.until(lambda: len(self.answers()) > before and self.answers()[-1].strip(), seconds)
        self.until(lambda: not self.busy(), seconds)
        return self.answers()[-1]

    def answers(self) -> list[str]:
        return list(self._driver.execute_script(ANSWERS))

    def busy(self) -> bool:
        return bool(self._shown(STOP))

    def stop(self) -> None:
        self._click(STOP)
        self.until(lambda: not self.busy(), SHORT)

    def attach(self, file: Path) -> None:
        """Attach a file to the next message, and wait until its text was embedded."""
        self.until(lambda: self._all("input[type=file]"), SHORT)[0].send_keys(str(file))
        self.until(lambda: self._embedded(file.name))

    def _embedded(self, name: str) -> bool:
        """The page sends a message before that is so, and shows it by a symbol only; so Open WebUI itself is asked."""
        token = self._driver.execute_script("return localStorage.token")
        headers = {"Authorization": f"Bearer {token}"}
        files = httpx.get(f"{self._url}/api/v1/files/", headers=headers, timeout=SHORT).json()["items"]
        return any((each["filename"], each["data"].get("status")) == (name, "completed") for each in files)

    def notices(self) -> list[tuple[str, str]]:
        """Kind and text of each notice that shows now."""
        return [(kind, text) for kind, text in self._driver.execute_script(TOASTS)]

    def told(self, kind: str, text: str) -> None:
        """Wait for a notice."""
        self.until(lambda: any(each == kind and text in said for each, said in self.notices()))

    def manage(self) -> None:
        """Open the box in which models are pulled and deleted."""
        self.open("/admin/settings/connections")
        self._click("button[aria-label='Manage']")
        self.until(lambda: self._shown(TAG), SHORT)

    def pull(self, name: str) -> None:
        box = self._shown(TAG)
        box.clear()
        box.send_keys(name)
        box.find_element(By.XPATH, "./ancestor::div[.//button][1]//button").click()

    def percent(self) -> str | None:
        """How far a pull is, as its bar shows it; None while there is none between nothing and all."""
        found = PERCENT.search(self._text())
        return found[0] if found else None

    def delete(self, name: str) -> None:
        choice = (By.XPATH, f"//select/option[contains(., '{name}')]")
        self.until(lambda: self._driver.find_elements(*choice), SHORT)[0].click()
        self._click("button[aria-label='Delete Model']")
        confirm = (By.XPATH, "//button[normalize-space()='Confirm']")
        self.until(lambda: self._driver.find_elements(*confirm), SHORT)[0].click()

    def _menu(self) -> None:
        self._click("#model-selector-model-button")

    def _all(self, selector: str) -> list[Any]:
        return list(self._driver.find_elements(By.CSS_SELECTOR, selector))

    def _shown(self, selector: str) -> Any:
        return next((each for each in self._all(selector) if each.is_displayed()), None)

    def _enabled(self, selector: str) -> Any:
        found = self._shown(selector)
        return found if found and found.is_enabled() else None

    def _click(self, selector: str) -> None:
        self.until(lambda: self._shown(selector), SHORT).click()

    def _text(self) -> str:
        return str(self._driver.find_element(By.TAG_NAME, "body").text)
