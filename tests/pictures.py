"""Make the pictures of the README: `python -m tests.pictures RUN`, of a run on the demo data.

The live view is the search's own, drawn from the run's tables as it was when its last trials still
ran; the report is photographed in Chromium. Only demo data are shown: a data set's own texts and
images are not ours to publish.
"""

from __future__ import annotations

import re
import shutil
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

import analysis
from analysis.report import write_report
from search.console.live import ViewInfo, render
from search.study.trial import TrialRecord

if TYPE_CHECKING:
    from analysis.run_folder.run import Run

FOLDER = Path(__file__).parents[1] / ".github" / "pictures"
_RUNNING = 2
_FONTS = re.compile(r"@font-face\s*{[^}]*}")
_COLUMNS = 100
_SCREENS = {"report": (1280, 860, "light"), "report-dark": (1280, 860, "dark")}


def main(path: Path) -> int:
    """Make all pictures.

    Args:
        path: The folder of a run on the demo data.

    Returns:
        The exit code: 0, or 2 for a run that is not on the demo data.
    """
    run = analysis.load(path)
    if not run.search.data.is_demo:
        sys.stderr.write("error: RUN must be on the demo data: others are not ours to publish\n")
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw_live_view(run, FOLDER / "live.svg")
    page = write_report(analysis.load(path))
    for name, screen in _SCREENS.items():
        photograph(page, FOLDER / f"{name}.png", *screen)
    return 0


def draw_live_view(run: Run, target: Path) -> None:
    """Draw what the terminal showed while the last trials ran.

    Args:
        run: The run.
        target: Where the SVG goes.
    """
    epochs = run.search.settings.tuning.epochs
    info = ViewInfo(run.objective, run.search.settings.trials, epochs)
    records = {str(row["trial"]): _record(run, row) for row in run.trials.to_dict("records")}
    for record in list(records.values())[-_RUNNING:]:
        record.fate, record.stopped = None, False
    console = Console(width=_COLUMNS, record=True, file=StringIO())
    seconds = sum(record.seconds for record in records.values()) / run.search.hardware.slots
    console.print(render(info, records, seconds))
    drawn = console.export_svg(title=f"python -m search.run --model {run.search.model}")
    # Fonts would come from another host: the reader's own will do.
    target.write_text(_FONTS.sub("", drawn), encoding="utf-8")


def _record(run: Run, row: Any) -> TrialRecord:
    history = run.history[run.history["trial"] == row["trial"]]
    scores = dict(zip(history["epoch"], history[run.objective], strict=True))
    record = TrialRecord(row["trial"], run.config(row["trial"]), bool(row["hand_tuned"]))
    record.scores = {int(epoch): float(score) for epoch, score in scores.items()}
    record.seconds, record.fate, record.error = row["seconds"], row["fate"], row["error"]
    return record


def photograph(page: Path, target: Path, width: int, height: int, theme: str) -> None:
    """Photograph the first screen of a page.

    Args:
        page: The page.
        target: Where the PNG goes.
        width: Of the window, in pixels.
        height: Of the window, in pixels.
        theme: `light` or `dark`.
    """
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium") or shutil.which("google-chrome"))
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    with Chrome(options, Service(shutil.which("chromedriver"))) as browser:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(page.absolute().as_uri())
        browser.save_screenshot(str(target))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
