"""docs/metrics.md holds what is measured, and its example runs."""

import re
import time
from pathlib import Path

import pytest

from tests.support.measured import pack, report_of
from tests.support.metric_docs import PAGE, with_tables
from workers.monitoring.collecting.intake import read
from workers.monitoring.metrics import RESPONSE_TIME
from workers.store.engine import open_store
from workers.store.metric_store import MetricStore


def test_the_tables_are_up_to_date() -> None:
    """If not: python -m tests.support.metric_docs."""
    page = PAGE.read_text("utf-8")
    assert with_tables(page) == page


def test_the_example_asks_a_real_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, now_s = f"sqlite:///{tmp_path / 'ion.db'}", time.time()
    report = report_of(RESPONSE_TIME, 25, 25, at_s=now_s, labels=("process",))
    with open_store(url) as store:
        MetricStore(store).add([read(pack(report), now_s)], now_s)
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    exec(example.replace("sqlite:////var/lib/ion/ion.db", url), {})  # noqa: S102 - it is what the page shows
    assert re.search(r"value=(24\.\d+|25\.\d+|25).*unit='ms', window_s=300, count=2", capsys.readouterr().out)
