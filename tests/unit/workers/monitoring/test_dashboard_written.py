"""One dashboard in four formats: the same facts in each, and hostile names stay text."""

import html
import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from tests.support.boards import NOW_S, TheseAlerts, alert, board
from tests.support.history import MemoryHistory
from tests.support.seeded import SeededHistory
from workers.monitoring import metrics as m
from workers.monitoring.dashboards.as_json import json_of
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.html import Links, page, state_of
from workers.monitoring.dashboards.markdown import escaped, markdown
from workers.monitoring.dashboards.model import Dashboard
from workers.monitoring.dashboards.text import drawn

LINKS = Links("/dashboards", "/dashboards/assets", "v1")
HOSTILE = '<img src=x onerror="alert(1)">|`*_'


def text_of(made: Dashboard, width: int = 120) -> str:
    out = Console(file=io.StringIO(), width=width, force_terminal=False)
    out.print(drawn(made, width))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def words_of(made: Dashboard) -> str:
    """Return what a reader of the page reads, without what is said to machines."""
    bare = re.sub(r"<style>.*?</style>", "", page(made), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())


class Checked(HTMLParser):
    """Sees that elements are closed in order, ids are unique, and nothing is written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.referred: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not [name for name in given if name == "style" or name.startswith("on")]
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.referred += (given.get("aria-labelledby") or "").split()
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_page_is_sound(name: str) -> None:
    checked = Checked()
    written = page(board(SeededHistory(NOW_S), name), LINKS)
    checked.feed(written)
    assert checked.open == []
    assert len(set(checked.ids)) == len(checked.ids)
    assert set(checked.referred) <= set(checked.ids)
    assert "<style" not in written
    assert written.count("<script") == 1
    assert "http://" not in written
    assert "https://" not in written


def test_every_format_tells_the_same() -> None:
    made = board(SeededHistory(NOW_S), "performance", alerts=TheseAlerts([alert()]))
    stat = next(one for one in json.loads(json_of(made))["panels"] if one["title"] == "Slowest in a hundred")
    said = f"{stat['value']:.3g} ms"
    for written in (words_of(made), markdown(made), text_of(made)):
        assert said in written
        assert "p99 over 5 min, 3 s old" in written
        assert "bulk" in written


def test_a_figure_that_breaks_a_rule_says_so_in_words() -> None:
    history = MemoryHistory()
    history.add(m.RESPONSE_TIME, NOW_S - 3, *[400.0] * 20, labels=("process",), region="eu")
    made = board(history)
    for written in (words_of(made), markdown(made), text_of(made)):
        assert "critical above 200 ms" in written
    (stat,) = [one for one in json.loads(json_of(made))["panels"] if one["title"] == "Response time"][:1]
    assert stat["tone"] == "critical"
    assert stat["limits"][0] == {
        "tone": "critical",
        "comparison": "above",
        "value": 200,
        "rule": "response_time_critical",
    }


def test_open_alerts_are_shown_with_what_is_known_of_them() -> None:
    made = board(MemoryHistory(), alerts=TheseAlerts([alert()]))
    for written in (words_of(made), markdown(made).replace("\\", ""), text_of(made)):
        assert "p95 of response time in eu is 312 ms, above 200 ms." in written
        assert "region eu" in written
        assert "or 10 min" in written


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(2.0, "no rule is broken"), (None, "No rule has been judged yet"), (600.0, "10 min ago")],
)
def test_no_alert_is_good_news_only_if_somebody_judges(age_s: float | None, said: str) -> None:
    made = board(MemoryHistory(), alerts=TheseAlerts(age_s=age_s))
    for written in (words_of(made), markdown(made), text_of(made)):
        assert said in written
        assert ("no rule is broken" in written) is (age_s == 2.0)


def test_without_data_all_formats_say_so() -> None:
    made = board(MemoryHistory())
    assert state_of(made).startswith("No data: nothing was measured in the last 1 h")
    for written in (words_of(made), markdown(made), text_of(made)):
        assert "no data" in written
        assert "No data in this window" in written or "no data in this window" in written
    told = json.loads(json_of(made))
    assert told["age_s"] is None
    assert {one["value"] for one in told["panels"] if one["kind"] == "stat"} == {None}


def test_old_figures_are_called_stale() -> None:
    history = MemoryHistory()
    history.add(m.RESPONSE_TIME, NOW_S - 240, 20.0, labels=("process",))
    assert state_of(board(history)).startswith("Stale: the newest figure is 4 min old")


def test_names_from_labels_stay_text() -> None:
    """Labels are names of queues and reasons, yet whoever can write to the database can write them."""
    history = MemoryHistory()
    history.add(m.DEAD_LETTERS, NOW_S - 3, 1, labels=(HOSTILE,))
    history.add(m.QUEUE_WAIT, NOW_S - 3, 0.1, labels=("persona.process", HOSTILE))
    for name in ("reliability", "performance"):
        made = board(history, name, alerts=TheseAlerts([alert(labels={"region": HOSTILE}, said=HOSTILE)]))
        written = page(made, LINKS)
        assert "<img" not in written
        assert "&lt;img" in written
        Checked().feed(written)
        assert HOSTILE not in markdown(made)
        assert escaped(HOSTILE) in markdown(made)
        assert "<img" in text_of(made, 300)


def test_markdown_tables_have_as_many_cells_as_heads() -> None:
    for name in DASHBOARDS:
        cells = 0
        for line in markdown(board(SeededHistory(NOW_S), name)).splitlines():
            if not line.startswith("|"):
                cells = 0
                continue
            found = len(re.findall(r"(?<!\\)\|", line))
            assert cells in (0, found), line
            cells = found


def test_the_page_that_stands_alone_needs_nothing_else() -> None:
    written = page(board(SeededHistory(NOW_S)))
    assert "<style>" in written
    assert not re.search(r"<(script|link|img)\b", written)
    assert "href=" not in written.replace('href="#main"', "")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_text_fits_the_terminal(width: int) -> None:
    lines = text_of(board(SeededHistory(NOW_S), "performance"), width).splitlines()
    assert max(map(len, lines)) <= width
