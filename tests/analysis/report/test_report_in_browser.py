"""The report as a browser shows it: what people see, and what they can do without a mouse.

Needs Chromium and its driver; the check of accessibility needs the npm package `axe-core`, in
`node_modules` here or among the global packages. Any run of yours can be looked at so:

    REPORT_RUN=runs/mine python -m pytest tests/analysis/report/test_report_in_browser.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import analysis
from analysis.report import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.run_folder.folder import RunFolder

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium or its driver is missing"),
]
ASKED_FOR = os.environ.get("REPORT_RUN")
SECONDS = 120  # to wait at most, on a busy machine


def axe_source() -> str:
    """The checker's script; skips where there is none."""
    folders = [Path(__file__).parents[3] / "node_modules"]
    if npm := shutil.which("npm"):
        found = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False)
        folders.append(Path(found.stdout.strip()))
    for folder in folders:
        path = folder / "axe-core" / "axe.min.js"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    pytest.skip("the npm package axe-core is not installed")


def open_browser(width: int) -> Any:
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(CHROMIUM)
    # A page that is not looked at is still drawn: its timers and frames are not slowed down.
    unslowed = ("--disable-renderer-backgrounding", "--disable-background-timer-throttling")
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *unslowed):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options, Service(str(DRIVER)))
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return browser


def draw_all(browser: Any) -> list[str]:
    """Scroll through the page; gives the figures that were not drawn in time."""
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    missing = "return [...document.querySelectorAll('.plot')].filter(plot => !(plot.dataset.drawn"
    missing += " && plot.querySelector('svg .plot, svg .contour, svg .bars path, svg .lines'))"
    missing += ").map(plot => plot.dataset.figure)"
    until = time.monotonic() + SECONDS
    while (left := browser.execute_script(missing)) and time.monotonic() < until:
        time.sleep(0.1)
    names: list[str] = left
    return names


@pytest.fixture(scope="module")
def page(full_run: RunFolder) -> str:
    return write_report(analysis.load(ASKED_FOR or full_run.path)).as_uri()


@pytest.fixture(scope="module", params=[1280, 390], ids=["desktop", "phone"])
def browser(request: pytest.FixtureRequest, page: str) -> Iterator[Any]:
    from selenium.webdriver.support.wait import WebDriverWait

    opened = open_browser(request.param)
    opened.get(page)
    # A busy browser may say "loaded" of its own empty page before ours is there.
    ready = "return document.readyState === 'complete' && Boolean(document.querySelector('.plot'))"
    WebDriverWait(opened, SECONDS).until(lambda shown: shown.execute_script(ready))
    yield opened
    opened.quit()


def test_every_figure_is_drawn_without_a_word_on_the_console(browser: Any) -> None:
    assert (draw_all(browser), browser.get_log("browser")) == ([], [])


def test_no_request_leaves_the_page(browser: Any, page: str) -> None:
    draw_all(browser)
    requests = [
        entry["message"]
        for entry in browser.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"]
    ]
    assert requests
    assert all(f'"url":"{page}' in text or '"url":"data:' in text for text in requests)


def test_a_tweet_is_text_and_never_markup(browser: Any) -> None:
    assert "broken" not in browser.title
    assert browser.execute_script("return document.querySelectorAll('img[src^=http]').length") == 0
    texts = browser.execute_script(
        "return [...document.querySelectorAll('.tweet')].map(tweet => tweet.textContent)"
    )
    assert texts
    if not ASKED_FOR:  # ours has markup in a tweet
        assert any("<img src=" in text for text in texts)


def test_nothing_is_wider_than_the_screen(browser: Any) -> None:
    draw_all(browser)
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(overflow) == 0


def test_the_table_of_trials_sorts_by_keyboard(browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    def column() -> list[float]:
        cells = browser.find_elements("css selector", "#trial-table tbody tr td:nth-child(3)")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    original = column()
    button = browser.find_element("css selector", "#trial-table th:nth-child(3) button")
    heading = browser.find_element("css selector", "#trial-table th:nth-child(3)")
    for key, direction, expected in [
        (Keys.ENTER, "descending", sorted(original, reverse=True)),
        (Keys.SPACE, "ascending", sorted(original)),
        (Keys.ENTER, None, original),
    ]:
        button.send_keys(key)
        assert column() == expected
        assert heading.get_attribute("aria-sort") == direction


def test_the_button_turns_the_page_dark_and_its_figures_with_it(browser: Any) -> None:
    draw_all(browser)
    colours = "const root = getComputedStyle(document.documentElement);"
    colours += "const text = document.querySelector('.plot .xtick text');"
    colours += "return [root.getPropertyValue('--ink').trim(), text.style.fill]"
    button = browser.find_element("id", "theme")
    seen = [browser.execute_script(colours)]
    for pressed in ("true", "false"):
        button.click()
        assert button.get_attribute("aria-pressed") == pressed
        draw_all(browser)
        until = time.monotonic() + SECONDS
        while browser.execute_script(colours)[1] == seen[-1][1] and time.monotonic() < until:
            time.sleep(0.1)
        seen.append(browser.execute_script(colours))
    assert seen[0] == seen[2]
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, theme: str) -> None:
    source = axe_source()
    draw_all(browser)
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    browser.execute_script(source)
    browser.set_script_timeout(SECONDS)
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(done, error => done(String(error)))"
    )
    assert isinstance(found, dict), found
    serious = [
        (fault["id"], [node["html"][:200] for node in fault["nodes"][:3]])
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
    ]
    assert serious == []
