"""Servers and workers that fail under load: callers get what is documented, and the service comes back."""

import os
import signal
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from infra.local.process import State
from infra.local.stack import LocalStack, ProcessInfo
from tests.support.callers import Asked, Callers
from tests.support.gateway import UNLIMITED, Running, ended, environment_of, gateway, standing_still
from tests.support.stack import start_stack
from tests.support.wait import wait_until

PROCESS = "/api/v2/process"
ENOUGH = 200  # answers, so that the fault is in the midst of many
BACK_S = 5.0  # within which work goes on after a server is back: a promise
AWAY = {"UNAVAILABLE", "OVERLOADED", "DEADLINE_EXCEEDED"}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalStack]:
    started = start_stack(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def running(fleet: LocalStack, tmp_path: Path) -> Iterator[Running]:
    with gateway(environment_of(fleet), tmp_path, rate_limit_address=UNLIMITED) as made:
        yield made


def question() -> dict[str, object]:
    return {"user_input": f"지표가 왜 떨어졌을까요? {uuid.uuid4()}", "use_cache": False}


def impatient(number: int) -> Asked:
    """Every other caller waits for five seconds, the rest come back for the answer."""
    return Asked(PROCESS, question(), "wait=5" if number % 2 else "respond-async")


def patient(number: int) -> Asked:
    return Asked(PROCESS, question(), "" if number % 2 else "respond-async")


def row(fleet: LocalStack, name: str) -> ProcessInfo:
    return next(row for row in fleet.processes() if row.name == name)


def kill(fleet: LocalStack, name: str) -> None:
    """Kill a process of *fleet*, and return when its supervisor has another one up in its place."""
    before = row(fleet, name)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    wait_until(
        lambda: row(fleet, name).restarts > before.restarts and row(fleet, name).state is State.READY, 30
    )


def more_come(callers: Callers) -> None:
    """Return when many more callers have been answered."""
    so_far = len(callers.answers)
    wait_until(lambda: len(callers.answers) > so_far + ENOUGH, 60, "callers are answered")


def answers(api: httpx.Client) -> bool:
    return api.post(PROCESS, json=question(), headers={"Prefer": "wait=2"}).status_code == httpx.codes.OK


def test_a_server_that_is_killed_costs_documented_errors_and_no_accepted_job(
    fleet: LocalStack, running: Running
) -> None:
    with running.client() as api:
        with Callers(running.port, impatient, 20) as callers:
            for _ in range(3):
                more_come(callers)
                kill(fleet, "valkey")
                wait_until(partial(answers, api), BACK_S, "the service is back")

        assert callers.cut == []
        assert callers.closed == callers.refused == 0
        assert callers.statuses() <= {200, 202, 503, 504}
        assert callers.codes() <= AWAY
        assert {ended(api, job)["status"] for job in callers.accepted()} == {"ok"}


def test_a_worker_that_is_killed_costs_nothing(fleet: LocalStack, running: Running) -> None:
    with running.client() as api:
        with Callers(running.port, patient, 20) as callers:
            more_come(callers)
            kill(fleet, "worker1")
            more_come(callers)

        assert callers.statuses() == {200, 202}
        assert callers.cut == []
        assert {ended(api, job)["status"] for job in callers.accepted()} == {"ok"}


def test_while_the_broker_is_silent_new_work_is_refused_and_cached_answers_flow(
    fleet: LocalStack, running: Running
) -> None:
    """A server that stands still is the worst: it takes connections.  Ten seconds would be a 504."""
    broker = row(fleet, "valkey").pid
    assert broker is not None
    known = {"user_input": str(question()["user_input"])}
    with running.client() as api:
        job = api.post(PROCESS, json=question(), headers={"Prefer": "respond-async"}).headers["location"]
        wait_until(lambda: api.post(PROCESS, json=known).json()["performance"]["cache_hit"], 20)

        os.kill(broker, signal.SIGSTOP)
        try:
            with Callers(running.port, lambda _: Asked(PROCESS, known), 10) as callers:
                for prefer in ("wait=10", "respond-async"):
                    refused = api.post(PROCESS, json=question(), headers={"Prefer": prefer})
                    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
                    assert refused.json()["error"]["code"] == "UNAVAILABLE"
                    assert int(refused.headers["retry-after"]) >= 1
                assert api.get(job).status_code == httpx.codes.SERVICE_UNAVAILABLE
                wait_until(lambda: len(callers.answers) >= ENOUGH, what="cached answers flow")
            assert callers.statuses() == {200}
            assert all(answer.body["performance"]["cache_hit"] for answer in callers.answers)
        finally:
            os.kill(broker, signal.SIGCONT)

        wait_until(partial(answers, api), BACK_S, "the service is back")
        assert ended(api, job)["status"] == "ok"


def test_without_a_broker_new_work_is_refused_and_with_one_it_goes_on(tmp_path: Path) -> None:
    """The gateway is there before the fleet, and after it: a fleet in the same place is found again."""
    with gateway({"ION_STATE_DIR": str(tmp_path / "ion")}, tmp_path) as running, running.client() as api:
        for _ in range(2):
            refused = api.post(PROCESS, json=question())
            assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert refused.json()["error"]["code"] == "UNAVAILABLE"
            assert api.get("/livez").status_code == httpx.codes.OK
            fleet = start_stack(tmp_path, workers=1)
            try:
                wait_until(partial(answers, api), BACK_S, "the service is there")
            finally:
                fleet.stop()


def test_a_queue_that_is_full_is_told_and_emptied(fleet: LocalStack, tmp_path: Path) -> None:
    """While workers stand still, one message may wait; the callers are told when to come again."""
    little = {**environment_of(fleet), "ION_MAX_QUEUE_BATCHES": "1", "ION_MAX_BATCH_JOBS": "1"}
    with gateway(little, tmp_path) as running, running.client() as api:
        with standing_still(fleet):

            def is_full() -> bool:
                answer = api.post(PROCESS, json=question(), headers={"Prefer": "respond-async"})
                full = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
                assert not full or answer.json()["error"]["code"] == "OVERLOADED"
                assert not full or int(answer.headers["retry-after"]) >= 1
                return full

            wait_until(is_full, what="the queue is full")
        wait_until(partial(answers, api), 30, "the queue is empty again")
