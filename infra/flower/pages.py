"""What Flower shows besides its own: runs of bulk files, links to the dashboards, a lock on /metrics.

Flower is a Tornado application whose addresses and settings stand in ``flower.urls``; ours go before them.
Its templates are used as they are: our ``navbar.html`` includes Flower's and adds a line below it.

Source: flower/urls.py, flower/templates 2.2; tornado.web.Application (``template_loader``).
"""

import asyncio
from pathlib import Path
from typing import Any

from flower import urls
from flower.views import BaseHandler
from flower.views.monitor import Metrics
from tornado.template import DictLoader
from tornado.web import authenticated, url

THEIRS = Path(urls.settings["template_path"])
OURS = Path(__file__).with_name("templates")
FLOWERS_NAVBAR = "flower-navbar.html"  # Flower's own, for ours to include
DASHBOARDS = ("overview", "performance", "reliability", "cache", "infrastructure")
_REFRESH_S = 5


def add_pages(dashboards_url: str | None) -> None:
    """Add our pages to the Flower that is about to be made in this process; twice is once."""
    urls.settings["template_loader"] = DictLoader(
        {**_texts(THEIRS), **_texts(OURS), FLOWERS_NAVBAR: (THEIRS / "navbar.html").read_text("utf-8")},
        namespace={"dashboards_url": dashboards_url, "dashboards": DASHBOARDS},
    )
    theirs = [one for one in urls.handlers if getattr(one, "handler_class", None) not in {Locked, Batches}]
    urls.handlers[:] = [url(r"/metrics", Locked), url(r"/batches", Batches, name="batches"), *theirs]


class Locked(Metrics):  # type: ignore[misc]
    """Flower's own figures for Prometheus, for who has logged in; Flower itself shows them to anybody."""

    @authenticated
    async def get(self) -> None:
        """Answer in Prometheus's text format."""
        await super().get()


class Batches(BaseHandler):  # type: ignore[misc]
    """The newest bulk runs and how far each is, from the ledger that ``ion bulk list`` reads."""

    @authenticated
    async def get(self) -> None:
        """Answer with a page that looks again by itself."""
        from infra.flower.runs import newest_runs  # noqa: PLC0415 - 15 MB, which are needed here only

        runs = await asyncio.to_thread(newest_runs)
        self.set_header("Refresh", str(_REFRESH_S))
        self.render("batches.html", runs=runs.found, trouble=runs.trouble)


def _texts(directory: Path) -> dict[str, Any]:
    return {page.name: page.read_text("utf-8") for page in directory.glob("*.html")}
