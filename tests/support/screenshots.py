"""Take the pictures of the dashboards for the documentation: ``python -m tests.support.screenshots``.

They show three made-up days of a fleet, always the same, half an hour after eu was slow for ten minutes.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from tests.support.boards import NOW_S, TheseAlerts, alert, board
from tests.support.chromium import chromium
from tests.support.seeded import SeededHistory
from tests.support.tools import needs
from workers.monitoring.dashboards.ahead import WINDOWS_S
from workers.monitoring.dashboards.html import ASSETS, Links, page

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
_AFTERWARDS = alert(
    rule="error_rate_high",
    level="high",
    state="acknowledged",
    acknowledged_by="mina",
    labels={"region": "eu"},
    said="Share of error rate in eu is 0.81 %, above 0.5 %.",
    since_s=NOW_S - 1_980,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: *height* None shows the whole page."""

    file: str
    name: str
    window: str
    scheme: str = "light"
    width: int = 1240
    height: int | None = None


PICTURES = (
    Picture("dashboard-overview", "overview", "1h"),
    Picture("dashboard-overview-dark", "overview", "1h", "dark"),
    Picture("dashboard-overview-phone", "overview", "1h", "dark", 360, 1_400),
    Picture("dashboard-performance", "performance", "72h", height=1_000),
    Picture("dashboard-reliability", "reliability", "6h", height=1_000),
    Picture("dashboard-cache", "cache", "24h", "dark", height=1_000),
    Picture("dashboard-infrastructure", "infrastructure", "6h", "dark", height=1_000),
)


def main() -> None:
    """Write docs/images/dashboard-*.png."""
    directory = Path(tempfile.mkdtemp(prefix="ion-shots-"))
    history = SeededHistory(NOW_S)
    links = Links(".", str(ASSETS), "1")
    with chromium(needs("chromium")) as browser:
        for picture in PICTURES:
            made = board(history, picture.name, WINDOWS_S[picture.window], TheseAlerts([_AFTERWARDS]))
            file = directory / f"{picture.file}.html"
            file.write_text(page(made, links), encoding="utf-8")
            _take(browser, picture, file)
    sys.stderr.write(f"written: {IMAGES}/dashboard-*.png\n")


def _take(browser: Browser, picture: Picture, file: Path) -> None:
    with browser.new_context(
        viewport={"width": picture.width, "height": picture.height or 900},
        color_scheme="dark" if picture.scheme == "dark" else "light",
    ) as within:
        shown = within.new_page()
        shown.goto(file.as_uri())
        shown.wait_for_selector("#state.live")
        shown.screenshot(path=IMAGES / f"{picture.file}.png", full_page=picture.height is None)


if __name__ == "__main__":
    main()
