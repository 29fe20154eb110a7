"""The dashboards in a real browser: readable by everybody, on any width, and live."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from producers.gateway.app import build_gateway
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings
from tests.support.chromium import chromium
from tests.support.gateway_app import served
from tests.support.seeded_database import seed
from tests.support.tools import needs
from tests.support.wait import wait_until
from workers.monitoring.collecting.intake import Measured
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.metrics import DEAD_LETTERS, REPORTS
from workers.monitoring.samples import Sample, Series
from workers.store.api_keys import ApiKeyStore, make_key
from workers.store.engine import open_store
from workers.store.metric_store import MetricStore

CHECKS = Path(__file__).parents[1] / "support" / "page_checks.js"
REFRESH = "document.dispatchEvent(new Event('visibilitychange'))"  # as when a reader comes back to the page
SOON_S = 20.0

Faults = list[str]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seed(tmp_path_factory.mktemp("seeded") / "ion.db", time.time(), hours=1)


@pytest.fixture(scope="module")
def key(database: str) -> str:
    with open_store(database) as store:
        made, text = make_key("night", "service", None, int(time.time() * 1000), None)
        ApiKeyStore(store).add(made)
    return text


@pytest.fixture(scope="module")
def url(database: str, key: str) -> Iterator[str]:
    """A gateway that asks for a key, in front of a fleet that is away."""
    _ = key
    fleet = ClientSettings.model_validate(
        {"broker_url": "redis://127.0.0.1:1/0", "cache_url": "", "database_url": database}
    )
    with served(build_gateway(GatewaySettings(), fleet)) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(needs("chromium")) as made:
        yield made


def context(browser: Browser, key: str, width: int, scheme: str) -> BrowserContext:
    return browser.new_context(
        http_credentials={"username": "operator", "password": key},
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )


def opened(within: BrowserContext, address: str) -> tuple[Page, Faults]:
    """Open a page, and note what it complains of from then on."""
    page, faults = within.new_page(), Faults()
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    return page, faults


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
)
def test_each_dashboard_can_be_read_by_everybody(
    browser: Browser, url: str, key: str, scheme: str, width: int
) -> None:
    with context(browser, key, width, scheme) as within:
        page, faults = opened(within, f"{url}/dashboards/overview?window=6h")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) is (scheme == "dark")
        for name, one in DASHBOARDS.items():
            page.get_by_role("navigation", name="Dashboards").get_by_role("link", name=one.title).click()
            page.wait_for_url(f"{url}/dashboards/{name}?window=6h")
            assert page.get_by_role("heading", level=1).inner_text() == one.title
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(CHECKS.read_text(encoding="utf-8")) == []
        assert faults == []


def test_a_number_changes_while_one_looks(browser: Browser, url: str, key: str, database: str) -> None:
    """What has the focus keeps it, and what is open stays; no five seconds are waited for."""
    with context(browser, key, 1280, "light") as within:
        page, faults = opened(within, f"{url}/dashboards/reliability")
        letters = page.locator("section.stat", has_text="Dead letters").locator(".number")
        before = int(letters.inner_text())
        plot = page.locator(".plot").first
        plot.focus()
        page.evaluate("window.loadedOnce = true")

        now_s = time.time()
        samples = (
            (Series("eu", DEAD_LETTERS.name, ("poison",)), Sample(1, 7, 7, 7, now_s)),
            (Series("eu", REPORTS.name), Sample(1, 1, 1, 1, now_s)),
        )
        with open_store(database) as store:
            MetricStore(store).add([Measured(b"seven more", samples)], now_s)

        def has_risen() -> bool:
            page.evaluate(REFRESH)
            page.wait_for_timeout(50)
            return int(letters.inner_text()) == before + 7

        wait_until(has_risen, SOON_S, "the number on the page rises")
        assert page.evaluate("window.loadedOnce")  # the page was not loaded anew
        assert page.evaluate("document.activeElement.className") == "plot"
        assert "live" in (page.locator("#state").get_attribute("class") or "")
        assert faults == []


def test_a_reader_is_told_when_the_gateway_is_gone(browser: Browser, url: str, key: str) -> None:
    with context(browser, key, 1280, "light") as within:
        page, _ = opened(within, f"{url}/dashboards/overview")
        state = page.locator("#state")
        within.set_offline(True)
        page.evaluate(REFRESH)
        wait_until(lambda: "Not connected" in state.inner_text(), SOON_S, "the page says that it is alone")
        assert state.get_attribute("aria-live") == "polite"
        assert page.locator("section.stat").count() > 0  # the last figures stay
        within.set_offline(False)
        page.evaluate(REFRESH)
        wait_until(lambda: "Not connected" not in state.inner_text(), SOON_S, "the page is connected again")


def test_figures_are_shown_at_the_arrow_keys_and_under_the_pointer(
    browser: Browser, url: str, key: str
) -> None:
    with context(browser, key, 1280, "dark") as within:
        page, faults = opened(within, f"{url}/dashboards/overview")
        plot = page.locator(".plot").first
        plot.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        tip = page.locator(".tip")
        assert "p95" in tip.inner_text()
        assert "ms" in tip.inner_text()
        page.keyboard.press("Escape")
        assert tip.count() == 0
        plot.hover(position={"x": 300, "y": 60})
        assert "p50" in tip.inner_text()
        assert faults == []


def test_the_checks_find_what_they_are_for(browser: Browser, url: str, key: str) -> None:
    with context(browser, key, 1280, "light") as within:
        page, _ = opened(within, f"{url}/dashboards/cache")
        page.evaluate("document.querySelector('h1').style.color = '#b0b0b0'")
        page.evaluate("document.querySelector('caption').remove()")
        page.evaluate("document.querySelector('section').removeAttribute('aria-labelledby')")
        found = page.evaluate(CHECKS.read_text(encoding="utf-8"))
        assert [problem.partition(":")[0] for problem in found] == ["no name", "no caption", "contrast 1.99"]


def test_without_a_key_a_browser_asks_for_one(browser: Browser, url: str) -> None:
    """One without a window cannot, and shows nothing."""
    with browser.new_context() as within, pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        within.new_page().goto(f"{url}/dashboards/overview")
