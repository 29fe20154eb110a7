"""The real Prometheus scrapes a real gateway, and the real Alertmanager tells people of a planted fault.

A fleet measures, into a real database; a gateway shows it; three jobs of ten begin to fail, and then none.
Windows are 120 times shorter than in use: 2.5 s instead of five minutes.
"""

import contextlib
import json
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.support.gateway import free_port, gateway
from tests.support.measured import pack
from tests.support.notice_schemas import PAGERDUTY
from tests.support.notice_servers import ROUTING_KEY, Mails, fake_mail
from tests.support.tools import needs
from tests.support.wait import wait_until
from workers.monitoring import metrics
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.collecting.intake import read
from workers.monitoring.export.alertmanager import Receivers, alertmanager_config
from workers.monitoring.export.files import prometheus_file
from workers.monitoring.export.prometheus_rules import Options
from workers.monitoring.recorder import MemoryRecorder
from workers.store.engine import open_store
from workers.store.metric_store import MetricStore

FASTER = 120
RULE = "error_rate_critical"
EVERY_S = 0.25  # of reports and scrapes
RULES = [rule for rule in load_rules().values() if rule.collection == "error_rate_global"]
PLACE = ("process",)
PAGERDUTY_V2 = {**PAGERDUTY, "else": {"required": ["dedup_key"]}}  # a payload may be there, and is ignored

Heard = dict[str, list[Any]]
"""What came, by the path that it came to."""


class Measuring:
    """A fleet of 100 jobs a report, of which some fail, until it is closed."""

    def __init__(self, database: str) -> None:
        self.failing = 0
        self.jobs = 0
        self._store = open_store(database)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="a fleet")

    def _live(self) -> None:
        recorder, kept = MemoryRecorder("eu", "planted", time.time), MetricStore(self._store)
        while not self._stop.wait(EVERY_S):
            recorder.count(metrics.REQUESTS, 100, PLACE)
            recorder.measure(metrics.RESPONSE_TIME, 12.0, 100, PLACE)
            recorder.measure(metrics.QUEUE_DEPTH, 3, 1, ("interactive",))
            if self.failing:
                recorder.count(metrics.ERRORS, self.failing, PLACE)
            now_s = time.time()
            kept.add([read(pack(recorder.take()), now_s)], now_s)
            self.jobs += 100

    def __enter__(self) -> "Measuring":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._store.close()

    def stop(self) -> None:
        """Measure no more."""
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, Heard]]:
    """Take JSON at any path of a port: what came is kept by its path."""
    heard: Heard = defaultdict(list)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard[self.path].append(body)
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1], heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def running(argv: list[str], directory: Path, ready: str) -> Iterator[None]:
    """Run a server of Prometheus' until the block ends; *ready* is where it says that it is."""
    log = directory / f"{Path(argv[0]).name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(argv, cwd=directory, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or answers(ready), 20.0, f"{argv[0]} is ready")
        assert process.poll() is None, log.read_text("utf-8")
        yield
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url).status_code == httpx.codes.OK
    return False


def prometheus(directory: Path, targets: dict[str, int]) -> tuple[list[str], str]:
    """Write the configuration; return how to run Prometheus, and where it will be."""
    rules = prometheus_file(RULES, Options("https://wiki.example/runbooks", FASTER))
    (directory / "ion.rules.yml").write_text(rules.text, encoding="utf-8")
    config = {
        "global": {"scrape_interval": f"{EVERY_S * 1000:.0f}ms", "scrape_timeout": f"{EVERY_S * 1000:.0f}ms"},
        "rule_files": ["ion.rules.yml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{targets['alerts']}"]}]}]
        },
        "scrape_configs": [
            {"job_name": "ion", "static_configs": [{"targets": [f"127.0.0.1:{targets['gateway']}"]}]}
        ],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    where = [f"--storage.tsdb.path={directory / 'tsdb'}", f"--web.listen-address={address}"]
    return [needs("prometheus"), "--config.file=prometheus.yml", *where], f"http://{address}"


def alertmanager(directory: Path, to: Receivers) -> tuple[list[str], int]:
    """Write the configuration; return how to run Alertmanager, and its port."""
    config = alertmanager_config(RULES, to, faster=FASTER)
    (directory / "alertmanager.yml").write_text(json.dumps(config), encoding="utf-8")
    port = free_port()
    argv = [needs("prometheus-alertmanager"), "--config.file=alertmanager.yml", "--cluster.listen-address="]
    where = [f"--storage.path={directory / 'alerts'}", f"--web.listen-address=127.0.0.1:{port}"]
    return [*argv, *where], port


def receivers(directory: Path, mails: Mails, port: int) -> Receivers:
    secrets = directory / "secrets"
    secrets.mkdir()
    (secrets / "slack-webhook-url").write_text(f"http://127.0.0.1:{port}/slack", encoding="utf-8")
    (secrets / "pagerduty-routing-key").write_text(ROUTING_KEY, encoding="utf-8")
    return Receivers(
        secrets=secrets,
        pagerduty_url=f"http://127.0.0.1:{port}/pagerduty",
        smtp=f"127.0.0.1:{mails.port}",
        smtp_tls=False,
        mail_from="ion@example.com",
        mail_to="ops@example.com",
        webhook_url=f"http://127.0.0.1:{port}/webhook",
    )


def asked(url: str, question: str) -> float | None:
    """Return the one value that Prometheus answers, if there is one."""
    found = httpx.get(f"{url}/api/v1/query", params={"query": question}).json()["data"]["result"]
    return float(found[0]["value"][1]) if found else None


def about(heard: Heard, path: str) -> list[Any]:
    """Return what came to *path* about the planted fault."""
    return [one for one in heard[path].copy() if RULE in json.dumps(one)]


def told(mails: Mails, heard: Heard, *, firing: bool) -> Callable[[], bool]:
    """Return whether each of the four has heard that the error rate is critical, or is not any more."""
    title = f"{'CRITICAL' if firing else 'RESOLVED'}: {RULE}"
    status, action = ("firing", "trigger") if firing else ("resolved", "resolve")

    def all_told() -> bool:
        return (
            any(one["event_action"] == action for one in about(heard, "/pagerduty"))
            and any(one["attachments"][0]["title"] == title for one in about(heard, "/slack"))
            and any(mail["subject"] == title for mail in mails.received)
            and any(one["status"] == status for one in about(heard, "/webhook"))
        )

    return all_told


@pytest.mark.timeout(90)
def test_a_fault_of_the_fleet_reaches_people_through_prometheus_and_alertmanager_and_ends(
    tmp_path: Path,
) -> None:
    database = f"sqlite:///{tmp_path / 'ion.db'}"
    environment = {
        "ION_DATABASE_URL": database,
        "ION_BROKER_URL": "redis://127.0.0.1:1/0",
        "ION_CACHE_URL": "",
    }
    with (
        Measuring(database) as fleet,
        fake_mail() as mails,
        listening() as (port, heard),
        gateway(environment, tmp_path, metrics=True) as shown,
    ):
        run_alerts, alerts_port = alertmanager(tmp_path, receivers(tmp_path, mails, port))
        run_rules, url = prometheus(tmp_path, {"alerts": alerts_port, "gateway": shown.port})
        with (
            running(run_alerts, tmp_path, f"http://127.0.0.1:{alerts_port}/-/ready"),
            running(run_rules, tmp_path, f"{url}/-/ready"),
        ):
            wait_until(lambda: asked(url, "fleet:ion_error_rate_global:share_5m") == 0, 20.0)

            fleet.failing = 30
            wait_until(told(mails, heard, firing=True), 30.0, "everybody is told of the fault")

            fleet.failing = 0
            wait_until(told(mails, heard, firing=False), 30.0, "everybody is told of its end")

            fleet.stop()
            wait_until(lambda: asked(url, "sum(ion_requests_total)") == fleet.jobs, 10.0)
            assert asked(url, "sum(ion_response_time_seconds_count)") == fleet.jobs

    assert "error_rate_high" not in json.dumps(heard)  # the graver one says it all
    first = about(heard, "/slack")[0]["attachments"][0]
    assert first["text"].startswith("@oncall Jobs end without an answer")
    assert first["title_link"] == f"https://wiki.example/runbooks#{RULE}"
    assert len({event["dedup_key"] for event in about(heard, "/pagerduty")}) == 1
    for event in heard["/pagerduty"]:
        jsonschema.validate(event, PAGERDUTY_V2)
