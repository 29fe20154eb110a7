"""Flower as it ships: who gets in, what its rows tell, what it must never show, and what it refuses to do.

One stack with one worker serves all tests of this file.
"""

import re
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery
from flower import urls
from playwright.sync_api import HttpCredentials

import celeryconfig
from producers import PersonaClient, PersonaRequest
from producers.broker import BrokerPublisher
from tests.support.chromium import chromium
from tests.support.flower import DASHBOARDS, WatchedStack, note_runs, watched_stack
from tests.support.tools import needs
from tests.support.wait import wait_until
from workers.contract import names

WORDS = "zanzibar-quokka"
KEY = "calm-medium-learning"
OPEN = {"/healthcheck", "/static/x", "/logout"}  # that it lives, its style sheets, and a page to say goodbye


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedStack]:
    with watched_stack(tmp_path_factory.mktemp("flower")) as watched:
        send_work(watched)
        yield watched


def send_work(watched: WatchedStack) -> None:
    """Send what an operator meets, each with people's words in it, and wait until its rows are there."""
    note_runs(watched.stack)
    with (
        Celery("another app", set_as_current=False) as stranger,
        PersonaClient(watched.client_settings()) as client,
    ):
        stranger.config_from_object(celeryconfig)
        stranger.conf.update(celeryconfig.broker_settings(watched.stack.urls.broker_url))
        stranger.control.enable_events()  # as Flower does, every 5 s

        def is_told() -> bool:
            client.process(f"{WORDS} {uuid.uuid4()}", KEY)
            return bool(done(watched))

        wait_until(is_told, 20, "workers tell of their tasks")
        asked = [PersonaRequest(f"{WORDS} {n}", KEY) for n in range(36)]
        client.submit_batch([*asked, PersonaRequest(WORDS, f"{KEY}-{WORDS}")], note="run m7q2").result(10)
        stranger.send_task(names.PERSONA_PROCESS, (WORDS.encode(),), queue=names.BULK, ignore_result=True)
    publisher = BrokerPublisher(watched.stack.urls.broker_url, 2.0, 2.0)
    publisher.ask(names.CACHE_PREFETCH, names.MAINTENANCE, 30)
    publisher.publish(names.PERSONA_PROCESS, names.INTERACTIVE, "0" * 32, f"\xc1{WORDS}".encode(), 1)
    publisher.close()
    for args, times in (("36 jobs, bulk, run m7q2", 1), ("(not shown)", 1), ("1 letter, malformed", 2)):
        wait_until(lambda: sum(row["args"] == args for row in done(watched)) == times, 10, args)  # noqa: B023


def rows(watched: WatchedStack) -> list[dict[str, Any]]:
    answer = watched.get("/api/tasks")
    assert answer.status_code == HTTPStatus.OK, answer.text
    return list(answer.json().values())


def done(watched: WatchedStack) -> list[dict[str, Any]]:
    return [row for row in rows(watched) if row["state"] == "SUCCESS"]


def addresses() -> list[str]:
    """Return an address for each of Flower's handlers, and our own."""
    patterns = [getattr(one, "regex", None) or re.compile(one[0]) for one in urls.handlers]
    paths = [re.sub(r"\(\.[*+]\)", "x", regex.pattern).rstrip("$").replace("/?", "") for regex in patterns]
    return sorted({"/batches", "/metrics", *(path for path in paths if path.startswith("/"))})


def test_nobody_sees_anything_without_the_password(watched: WatchedStack) -> None:
    """Flower itself leaves /metrics open, with the names of workers and tasks."""
    assert len(addresses()) > 25
    for path in addresses():
        for login in (None, ("ion", "guessed"), ("", "")):
            status = watched.browser.get(path, auth=login).status_code
            closed = (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
            assert path in OPEN or status in closed, (path, status)
    assert watched.browser.get("/metrics").status_code == HTTPStatus.UNAUTHORIZED
    assert "flower_events_total" in watched.get("/metrics").text


def test_it_is_there_for_this_machine_only(watched: WatchedStack) -> None:
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(watched.process().pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_a_row_tells_what_a_batch_was_and_how_it_went(watched: WatchedStack) -> None:
    told = {(row["name"], row["args"]): row for row in done(watched)}

    bulk = told[("persona.process", "36 jobs, bulk, run m7q2")]
    assert re.fullmatch(r"36 ok( \(\d+ cached\))?.*", bulk["result"])
    assert (bulk["worker"], bulk["retries"]) == ("worker1@ion", 0)
    assert 0 < bulk["runtime"] < 20
    assert told[("dead.keep", "1 letter, malformed")]["state"] == "SUCCESS"
    assert told[("persona.process", "1 job, interactive")]["result"]
    assert told[("persona.process", "(not shown)")]["result"].startswith("refused: ")


def test_periodic_work_does_not_fill_it(watched: WatchedStack) -> None:
    assert {row["name"] for row in rows(watched)} == {"persona.process", "dead.keep"}


def test_no_page_and_no_answer_holds_what_people_write(watched: WatchedStack) -> None:
    ids = list(watched.get("/api/tasks").json())
    table = (
        "draw=1&start=0&length=100&search[value]=&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
    )
    pages = [
        *(
            "/",
            "/workers",
            "/workers?json=1&refresh=1",
            "/worker/worker1@ion",
            "/tasks",
            "/broker",
            "/batches",
        ),
        *("/api/workers?refresh=1", "/api/tasks", "/api/task/types", "/api/queues/length", "/metrics"),
        *(f"/tasks/datatable?{table}", f"/tasks/datatable?{table.replace('value]=', f'value]={WORDS}')}"),
        *(f"/task/{one}" for one in ids),
        *(f"/api/task/info/{one}" for one in ids),
    ]
    for page in pages:
        answer = watched.get(page)
        assert answer.status_code == HTTPStatus.OK, (page, answer.text)
        assert WORDS not in answer.text, page
    found = watched.get(f"/api/tasks?search={WORDS}").json()
    assert found == {}, "the search index knows no words of people"


def test_what_it_keeps_on_disk_holds_no_words_either(watched: WatchedStack) -> None:
    """The rows are written down when it stops, and are there again when it is back."""
    before = {row["uuid"] for row in rows(watched)}
    watched.restart()

    assert {row["uuid"] for row in rows(watched)} >= before
    directory = Path(watched.stack.settings.state_dir) / "flower"
    kept = b"".join(file.read_bytes() for file in directory.iterdir())
    assert b"36 jobs, bulk" in kept
    assert WORDS.encode() not in kept


@pytest.mark.parametrize(
    "path",
    [
        "/api/worker/shutdown/worker1@ion",
        "/api/worker/pool/restart/worker1@ion",
        "/api/worker/pool/grow/worker1@ion",
        "/api/worker/queue/cancel-consumer/worker1@ion?queue=interactive",
        "/api/task/revoke/x",
        "/api/task/send-task/persona.process",
        "/api/task/apply/persona.process",
    ],
)
def test_it_looks_and_does_not_touch(watched: WatchedStack, path: str) -> None:
    refused = watched.browser.post(path, auth=watched.login, json={})
    assert refused.status_code == HTTPStatus.FORBIDDEN


def test_the_runs_of_bulk_files_show_how_far_they_are(watched: WatchedStack) -> None:
    page = watched.get("/batches").text

    for told in ("k3f9", "complete", "100 %", "m7q2", "interrupted", "43 %", "m7q2.jsonl", "12,888"):
        assert told in page, told
    assert "/data/" not in page


def test_a_ledger_that_cannot_be_read_is_told_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from infra.flower.runs import newest_runs  # noqa: PLC0415 - it reads the environment when it is called

    monkeypatch.setenv("ION_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    runs = newest_runs()

    assert runs.found == ()
    assert "none.db" in runs.trouble


def test_an_operator_finds_a_batch_in_a_browser_and_can_do_no_harm(watched: WatchedStack) -> None:
    """Log in, look at the workers, find a batch, open it; the page of a worker offers no way to stop it."""
    user, password = watched.login
    with chromium(needs("chromium")) as browser:
        login = HttpCredentials(username=user, password=password)
        with browser.new_context(base_url=watched.url, http_credentials=login) as context:
            page, troubles = context.new_page(), []
            page.on("pageerror", lambda error: troubles.append(str(error)))

            page.goto("/")
            page.get_by_role("link", name="worker1@ion").wait_for()
            page.get_by_role("link", name="Tasks", exact=True).click()
            page.get_by_role("searchbox").fill("m7q2")
            row = page.get_by_role("row", name="36 jobs, bulk, run m7q2")
            row.wait_for()
            assert page.locator("#tasks-table tbody tr").count() == 1
            assert "36 ok" in row.inner_text()
            row.locator("a[href*='/task/']").first.click()
            page.get_by_text("36 jobs, bulk, run m7q2").wait_for()

            page.get_by_role("link", name="Batches").click()
            page.get_by_role("progressbar", name="Done of m7q2").wait_for()
            overview = page.get_by_role("link", name="overview").get_attribute("href")
            assert overview == f"{DASHBOARDS}/dashboards/overview"

            page.goto("/worker/worker1@ion")
            page.get_by_role("tab").first.wait_for()
            assert page.get_by_role("button", name=re.compile("shut|revoke|grow|restart", re.I)).count() == 0
            assert WORDS not in page.content()
            assert troubles == []
