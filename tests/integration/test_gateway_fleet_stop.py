"""A gateway that stops, or dies, under load: nothing that it accepted is lost, no response is cut off."""

import contextlib
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from infra.local.stack import LocalStack
from tests.support.callers import Asked, Callers
from tests.support.gateway import UNLIMITED, Running, ended, environment_of, follow, gateway, standing_still
from tests.support.stack import start_stack
from tests.support.wait import wait_until

PROCESS = "/api/v2/process"
ENOUGH = 200  # accepted jobs, so that the fault is in the midst of many
LONG_S = 60  # of grace: longer than a test waits for the end


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    started = start_stack(tmp_path_factory.mktemp("stack"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def elsewhere(fleet: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway to which nothing happens."""
    with (
        gateway(environment_of(fleet), tmp_path_factory.mktemp("other")) as running,
        running.client() as client,
    ):
        yield client


def question() -> dict[str, object]:
    return {"user_input": f"Our deployment failed again. {uuid.uuid4()}", "use_cache": False}


def some_wait(number: int) -> Asked:
    """Of three callers, one waits for the answer, two come back for it."""
    return Asked(PROCESS, question(), "" if number % 3 == 0 else "respond-async")


def to_follow(_: int) -> Asked:
    return Asked(PROCESS, question(), "respond-async")


def serving(running: Running) -> set[psutil.Process]:
    """Return the processes that answer at the port of *running*, or are about to."""
    found = set()
    for child in psutil.Process(running.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has ended, and nobody has buried it
            if any("spawn_main" in word for word in child.cmdline()):
                found.add(child)
    return found


def all_end_well(elsewhere: httpx.Client, jobs: list[str]) -> bool:
    return {ended(elsewhere, job)["status"] for job in jobs} == {"ok"}


def test_a_stop_under_load_loses_no_accepted_job_and_cuts_off_no_response(
    fleet: LocalStack, elsewhere: httpx.Client, tmp_path: Path
) -> None:
    with (
        gateway(environment_of(fleet), tmp_path, processes=2, rate_limit_address=UNLIMITED) as running,
        Callers(running.port, some_wait) as callers,
    ):
        wait_until(lambda: len(callers.accepted()) >= ENOUGH, 60)
        assert running.terminate() == 0
        wait_until(lambda: callers.refused, what="callers are refused")

    assert callers.cut == []
    assert callers.statuses() <= {200, 202, 503}
    assert callers.codes() <= {"STOPPING"}
    assert all_end_well(elsewhere, callers.accepted())
    assert "ERROR" not in running.log()


def test_a_killed_process_loses_no_accepted_job_and_is_replaced(
    fleet: LocalStack, elsewhere: httpx.Client, tmp_path: Path
) -> None:
    with (
        gateway(environment_of(fleet), tmp_path, processes=2, rate_limit_address=UNLIMITED) as running,
        Callers(running.port, some_wait) as callers,
    ):
        wait_until(lambda: len(callers.accepted()) >= ENOUGH, 60)
        before = serving(running)
        next(iter(before)).kill()
        wait_until(lambda: len(serving(running) - before) == 1, 30, "there is another process")
        so_far = len(callers.answers)
        wait_until(lambda: len(callers.answers) > so_far + ENOUGH, 30, "callers are answered")

    assert callers.statuses() == {200, 202}
    assert all_end_well(elsewhere, callers.accepted())


def test_the_death_of_the_whole_gateway_loses_no_accepted_job(
    fleet: LocalStack, elsewhere: httpx.Client, tmp_path: Path
) -> None:
    """While workers stand still, nothing is done before the gateway has died."""
    with gateway(environment_of(fleet), tmp_path, rate_limit_address=UNLIMITED) as running:
        with standing_still(fleet), Callers(running.port, to_follow, 20) as callers:
            wait_until(lambda: len(callers.accepted()) >= ENOUGH, 60)
            running.process.kill()
            running.process.wait()
        assert callers.statuses() == {202}

    assert all_end_well(elsewhere, callers.accepted())


def test_a_lost_parent_leaves_no_process_that_holds_the_port(fleet: LocalStack, tmp_path: Path) -> None:
    with gateway(environment_of(fleet), tmp_path, processes=2) as running:
        processes = serving(running)
        running.process.kill()
        running.process.wait()
        gone, alive = psutil.wait_procs(list(processes), timeout=30)
    assert (len(gone), alive) == (2, [])


def test_a_stop_ends_event_streams_at_once_and_their_listeners_go_on_elsewhere(
    fleet: LocalStack, elsewhere: httpx.Client, tmp_path: Path
) -> None:
    """The grace is longer than the test waits for the end, so it is not what ends the streams."""
    with gateway(environment_of(fleet), tmp_path, stop_grace_s=LONG_S) as running, running.client() as api:
        with standing_still(fleet), ThreadPoolExecutor(20) as listeners:
            answer = api.post(PROCESS, json=question(), headers={"Prefer": "respond-async"})
            job = answer.headers["location"]
            all_listen = threading.Barrier(21)

            def listen(_: int) -> list[str]:
                heard = []
                for number, _name, _told in follow(api, job):
                    heard.append(number)
                    all_listen.wait(30)
                return heard

            streams = listeners.map(listen, range(20))
            all_listen.wait(30)
            assert running.terminate() == 0
            assert list(streams) == [["1"]] * 20  # and none broke off: that raises
        assert [number for number, _, _ in follow(elsewhere, job, after="1")] == ["2"]


def test_who_waits_beyond_the_grace_is_told_so(fleet: LocalStack, tmp_path: Path) -> None:
    waiting = Asked(PROCESS, question(), f"wait={LONG_S}")
    with (
        standing_still(fleet),
        gateway(environment_of(fleet), tmp_path, stop_grace_s=1, metrics=True) as running,
        running.client() as api,
        Callers(running.port, lambda _: waiting, 10) as callers,
    ):
        under_way = "ion_gateway_requests_in_flight 11"  # with the one that asks
        wait_until(lambda: under_way in api.get("/metrics").text, what="all wait")
        assert running.terminate() == 0

    assert callers.cut == []
    assert callers.codes() == {"STOPPING"}
    assert "ERROR" not in running.log()


def test_a_stop_that_is_announced_goes_on_answering_until_it_is_time(
    fleet: LocalStack, tmp_path: Path
) -> None:
    with gateway(environment_of(fleet), tmp_path, drain_s=LONG_S) as running, running.client() as api:
        wait_until(lambda: api.get("/readyz").status_code == httpx.codes.OK, what="it is ready")
        running.process.send_signal(signal.SIGTERM)

        wait_until(lambda: api.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE)
        assert api.get("/livez").status_code == httpx.codes.OK
        assert api.post(PROCESS, json=question()).status_code == httpx.codes.OK
        assert running.terminate() == 0  # a second signal: at once
