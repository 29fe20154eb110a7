"""Jobs over HTTP: sent and left, waited for, followed from anywhere, and sent again without being done again.

Each question is a new one, so that no cache answers in place of a worker.
"""

import queue
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from infra.local.stack import LocalStack
from tests.support.gateway import ended, environment_of, follow, gateway, standing_still
from tests.support.stack import start_stack
from tests.support.wait import wait_until

PROCESS = "/api/v2/process"
LATER = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    started = start_stack(tmp_path_factory.mktemp("stack"), workers=1)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def api(fleet: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    directory = tmp_path_factory.mktemp("one")
    with gateway(environment_of(fleet), directory) as running, running.client() as client:
        yield client


@pytest.fixture(scope="module")
def elsewhere(fleet: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Another gateway to the same fleet, whose jobs live for a second when nobody waits for them."""
    directory = tmp_path_factory.mktemp("other")
    hasty = gateway(environment_of(fleet), directory, async_deadline_s=1)
    with hasty as running, running.client() as client:
        yield client


def question() -> dict[str, object]:
    return {"user_input": f"배포가 또 실패했어요. {uuid.uuid4()}", "use_cache": False}


def send(api: httpx.Client, body: object, **headers: str) -> str:
    """Send a job that nobody waits for; return where to follow it."""
    answer = api.post(PROCESS, json=body, headers={**LATER, **headers})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert answer.json()["status"] == "pending"
    location: str = answer.headers["location"]
    return location


def batches_done(fleet: LocalStack) -> int:
    """Return how many batches workers have settled; each leaves a mark for five minutes."""
    with redis.Redis.from_url(fleet.urls.reply_url) as store:
        return sum(1 for _ in store.scan_iter("ion:settled:*", count=1_000))


class Listener:
    """Someone who follows a job in a thread."""

    def __init__(self, api: httpx.Client, job: str) -> None:
        self._heard: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, args=(api, job), daemon=True)
        self._thread.start()

    def next(self) -> tuple[str, str, Any]:
        """Return the next event."""
        return self._heard.get(timeout=30)

    def is_told_to_go(self) -> bool:
        """Say whether the stream has ended, and with nothing more in it."""
        self._thread.join(30)
        return not self._thread.is_alive() and self._heard.empty()

    def _listen(self, api: httpx.Client, job: str) -> None:
        for event in follow(api, job):
            self._heard.put(event)


def test_a_job_is_taken_at_once_and_found_when_it_has_ended(fleet: LocalStack, api: httpx.Client) -> None:
    asked = question()
    with standing_still(fleet):
        job = send(api, asked)
        assert api.get(job).json()["status"] == "pending"

    told = ended(api, job)
    assert (told["success"], told["status"], told["error"]) == (True, "ok", None)
    assert asked["user_input"] in told["result"]["content"]
    assert job.endswith(told["job_id"])


def test_a_caller_who_waits_gets_the_answer_or_the_address_of_the_job(
    fleet: LocalStack, api: httpx.Client
) -> None:
    answered = api.post(PROCESS, json=question(), headers={"Prefer": "respond-async, wait=20"})
    assert (answered.status_code, answered.json()["success"]) == (httpx.codes.OK, True)
    assert answered.headers["preference-applied"] == "respond-async, wait=20"
    assert "location" not in answered.headers

    with standing_still(fleet):
        later = api.post(PROCESS, json=question(), headers={"Prefer": "respond-async, wait=1"})
        assert (later.status_code, later.json()["status"]) == (httpx.codes.ACCEPTED, "pending")
        assert later.headers["preference-applied"] == "respond-async, wait=1"
    assert ended(api, later.headers["location"])["status"] == "ok"


def test_a_caller_who_waits_for_the_answer_alone_gets_504_after_that_time(
    fleet: LocalStack, api: httpx.Client
) -> None:
    with standing_still(fleet):
        for path, body in ((PROCESS, question()), ("/api/v2/bulk-process", {"requests": [question()]})):
            answer = api.post(path, json=body, headers={"Prefer": "wait=1"})
            told = answer.json() if path == PROCESS else answer.json()["results"][0]
            assert told["error"]["code"] == "DEADLINE_EXCEEDED"
            assert answer.status_code == (httpx.codes.GATEWAY_TIMEOUT if path == PROCESS else httpx.codes.OK)


def test_a_job_that_nobody_could_do_in_time_ends_as_expired(
    fleet: LocalStack, api: httpx.Client, elsewhere: httpx.Client
) -> None:
    """The later request waits for a second and gets no answer, so the job's second is over as well."""
    with standing_still(fleet):
        job = send(elsewhere, question())
        late = api.post(PROCESS, json=question(), headers={"Prefer": "wait=1"})
        assert late.status_code == httpx.codes.GATEWAY_TIMEOUT

    told = ended(api, job)
    assert (told["success"], told["status"], told["result"]) == (False, "expired", None)
    assert told["error"]["code"] == "DEADLINE_EXCEEDED"


def test_every_listener_hears_the_end_whichever_process_it_asks(
    fleet: LocalStack, api: httpx.Client, elsewhere: httpx.Client
) -> None:
    with standing_still(fleet):
        job = send(api, question())
        listeners = [Listener(where, job) for where in (api, api, elsewhere)]
        for listener in listeners:
            number, name, told = listener.next()
            assert (number, name, told["status"]) == ("1", "pending", "pending")

    for listener in listeners:
        number, name, told = listener.next()
        assert (number, name, told["status"]) == ("2", "ended", "ok")
        assert told["result"] == api.get(job).json()["result"]
        assert listener.is_told_to_go()


def test_a_listener_who_comes_back_hears_the_rest(api: httpx.Client, elsewhere: httpx.Client) -> None:
    job = send(api, question())
    assert [number for number, _, _ in follow(api, job)] == ["1", "2"]

    for where in (api, elsewhere):
        assert [number for number, _, _ in follow(where, job, after="1")] == ["2"]
        assert [number for number, _, _ in follow(where, job, after="no number")] == ["1", "2"]
        done = where.get(f"{job}/events", headers={"Last-Event-ID": "2"})
        assert (done.status_code, done.content) == (httpx.codes.NO_CONTENT, b"")


@pytest.mark.parametrize("job_id", ["0" * 64, "f" * 64, "x", "a" * 5_000, "%2e%2e"])
@pytest.mark.parametrize("what", ["", "/events"])
def test_a_job_that_nobody_sent_is_unknown(api: httpx.Client, job_id: str, what: str) -> None:
    answer = api.get(f"/api/v2/jobs/{job_id}{what}")
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert answer.json()["error"]["code"] in {"UNKNOWN_JOB", "NOT_FOUND"}


def test_a_request_that_is_sent_again_is_not_done_again(
    fleet: LocalStack, api: httpx.Client, elsewhere: httpx.Client
) -> None:
    """A batch is settled once for each time that workers did it; eight requests here are one batch."""
    asked, key = question(), {"Idempotency-Key": str(uuid.uuid4())}
    before = batches_done(fleet)
    with ThreadPoolExecutor(5) as callers:
        answers = list(callers.map(lambda _: api.post(PROCESS, json=asked, headers=key), range(5)))
    answers += [where.post(PROCESS, json=asked, headers=key) for where in (api, elsewhere, elsewhere)]

    assert {answer.status_code for answer in answers} == {httpx.codes.OK}
    assert len({answer.json()["content"] for answer in answers}) == 1
    wait_until(lambda: batches_done(fleet) > before, what="the batch is settled")
    assert batches_done(fleet) == before + 1


def test_an_answer_that_is_there_needs_no_worker(fleet: LocalStack, api: httpx.Client) -> None:
    asked, key = question(), str(uuid.uuid4())
    job = send(api, asked, **{"Idempotency-Key": key})
    told = ended(api, job)

    with standing_still(fleet):
        again = api.post(PROCESS, json=asked, headers={"Idempotency-Key": key})
        assert again.json()["content"] == told["result"]["content"]
        assert send(api, asked, **{"Idempotency-Key": f'"{key}"'}) == job
        assert api.get(job).json()["status"] == "ok"


def test_another_request_under_the_same_key_is_refused(api: httpx.Client, elsewhere: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert api.post(PROCESS, json=question(), headers=key).status_code == httpx.codes.OK

    for where, more in ((api, {}), (elsewhere, {}), (api, LATER)):
        answer = where.post(PROCESS, json=question(), headers={**key, **more})
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert answer.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT"
        assert answer.json()["error"]["field"] == "Idempotency-Key"
