"""The cache over HTTP: what an admin voids is computed anew, in every gateway, and all of it is counted."""

import uuid
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from infra.local.stack import LocalStack
from tests.support.gateway import gateway
from tests.support.gateway_app import ADMIN, APP, gateway_for, served
from tests.support.stack import client_settings_for, start_stack
from tests.support.valkey import server as running
from tests.support.wait import wait_until

LUA = {"tone": "calm", "pace": "medium", "intent": "learning"}
ELRO = {"tone": "analytical", "pace": "contemplative", "intent": "problem_solving"}
INVALIDATE, CLEAR = "/api/v2/cache/invalidate", "/api/v2/cache/clear"


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that nobody else asks, so that its counts are those of this module."""
    started = start_stack(tmp_path_factory.mktemp("stack"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def admin(own_stack: LocalStack) -> Iterator[httpx.Client]:
    """An admin, at a gateway of the test's own."""
    with served(gateway_for(ADMIN, client_settings_for(own_stack))) as client:
        yield client


@pytest.fixture(scope="module")
def other(own_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An app, at the gateway of another process."""
    directory = tmp_path_factory.mktemp("other")
    with gateway(own_stack.urls.environment(), directory) as process, process.client() as client:
        yield client


class Question:
    """A message that nobody has asked before, and may be asked many times."""

    def __init__(self, tally: "Tally", **fields: object) -> None:
        self._tally = tally
        self._body = {"user_input": f"How do I split module {uuid.uuid4().hex}?", **fields}
        self.persona = ""

    def is_known(self, http: httpx.Client) -> bool:
        """Ask it, and tell whether the answer came from the cache."""
        answer = http.post("/api/v2/process", json=self._body)
        assert answer.status_code == HTTPStatus.OK, answer.text
        told = answer.json()
        self.persona = told["persona_used"]
        return self._tally.count(hit=told["performance"]["cache_hit"])

    def make_known(self, http: httpx.Client) -> None:
        """Ask it until its answer is in the cache, which it enters after it is out."""
        wait_until(lambda: self.is_known(http), what="the answer is in the cache")

    def wait_until_void(self, http: httpx.Client) -> None:
        """Ask it until it is computed anew, as it must be soon; only an invalidation makes that happen."""
        wait_until(lambda: not self.is_known(http), what="the answer is void")


class Tally:
    """How many of this module's questions were answered, and how many of those from the cache."""

    def __init__(self) -> None:
        self.asked = self.hits = 0

    def count(self, *, hit: bool) -> bool:
        self.asked += 1
        self.hits += hit
        return hit


@pytest.fixture(scope="module")
def tally() -> Tally:
    return Tally()


def void(http: httpx.Client, pattern: str) -> dict[str, Any]:
    answer = http.post(INVALIDATE, params={"pattern": pattern})
    assert answer.status_code == HTTPStatus.OK, answer.text
    told: dict[str, Any] = answer.json()
    assert set(told) == {"success", "tags", "invalidated", "listening", "timestamp", "request_id"}
    assert told["success"] is True
    return told


# -- invalidate and clear ----------------------------------------------------------------------------


def test_the_answers_of_one_mentor_are_computed_anew_and_those_of_others_are_not(
    admin: httpx.Client, tally: Tally
) -> None:
    hers, his = Question(tally, resonance_key=LUA), Question(tally, resonance_key=ELRO)
    for question in (hers, his):
        question.make_known(admin)
    assert hers.persona != his.persona

    told = void(admin, f"persona:{hers.persona.lower()}")

    assert told["tags"] == [f"persona:{hers.persona}"]
    assert told["listening"] >= 3  # two workers, and this gateway
    hers.wait_until_void(admin)
    assert his.is_known(admin)


def test_what_rests_on_one_person_is_voided_by_that_person_alone(admin: httpx.Client, tally: Tally) -> None:
    questions = [Question(tally, context={"user_id": user}) for user in ("mina", "jun")]
    for question in questions:
        question.make_known(admin)

    assert void(admin, "user:mina")["tags"] == ["user:mina"]

    questions[0].wait_until_void(admin)
    assert questions[1].is_known(admin)


@pytest.mark.parametrize("pattern", ["endpoint:process", "persona:*"])
def test_other_gateways_are_told_too(
    admin: httpx.Client, other: httpx.Client, tally: Tally, pattern: str
) -> None:
    question = Question(tally)
    question.make_known(other)
    void(admin, pattern)
    question.wait_until_void(other)


def test_clearing_voids_every_answer_in_every_gateway(
    admin: httpx.Client, other: httpx.Client, tally: Tally
) -> None:
    questions = [Question(tally, resonance_key=key) for key in (LUA, ELRO, None)]
    for question in questions:
        question.make_known(other)

    assert admin.post(CLEAR).json()["tags"] == ["everything"]

    for question in questions:
        question.wait_until_void(other)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{INVALIDATE}?pattern=persona:Lua", 403, "FORBIDDEN"),
        (CLEAR, 403, "FORBIDDEN"),
        (INVALIDATE, 422, "MISSING_FIELD"),
    ],
)
def test_an_app_may_not(other: httpx.Client, tally: Tally, path: str, status: int, code: str) -> None:
    question = Question(tally)
    question.make_known(other)
    answer = other.post(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert question.is_known(other)


@pytest.mark.parametrize("pattern", ["persona:Bob", "nonsense", "", "user:*", "user:" + "x" * 1_000])
def test_a_wrong_pattern_is_a_wrong_value(admin: httpx.Client, pattern: str) -> None:
    answer = admin.post(INVALIDATE, params={"pattern": pattern})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "INVALID_INPUT", "pattern")


@pytest.mark.parametrize("path", [CLEAR, INVALIDATE])
def test_looking_at_an_address_that_voids_does_nothing(admin: httpx.Client, path: str) -> None:
    answer = admin.get(f"{path}?pattern=persona:Lua")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


# -- stats -------------------------------------------------------------------------------------------


def test_every_answer_is_counted_once_whichever_process_gave_it(
    admin: httpx.Client, other: httpx.Client, tally: Tally
) -> None:
    """What callers saw as ``cache_hit`` is what the fleet counted, to the last one."""
    question = Question(tally)
    for http in (admin, other):
        question.make_known(http)

    def told(http: httpx.Client) -> dict[str, Any]:
        stats: dict[str, Any] = http.get("/api/v2/cache-stats").json()
        assert stats["cache_hits"] + stats["cache_misses"] == stats["total_requests"]
        assert stats["l1"]["hits"] + stats["l2"]["hits"] == stats["cache_hits"]
        return stats

    def all_is_counted(http: httpx.Client) -> bool:
        return bool(told(http)["total_requests"] == tally.asked)

    for http in (admin, other):
        wait_until(partial(all_is_counted, http), what="all is counted")
        stats = told(http)
        assert stats["cache_hits"] == tally.hits
        assert stats["hit_rate"] == pytest.approx(tally.hits / tally.asked)
        assert set(stats["l1"]) == set(stats["l2"]) == {"hits", "hit_rate"}


# -- without a cache ---------------------------------------------------------------------------------

ADDRESSES = [
    ("GET", "/api/v2/cache-stats"),
    ("POST", CLEAR),
    ("POST", f"{INVALIDATE}?pattern=persona:Lua"),
]


def is_well(http: httpx.Client, method: str, path: str) -> bool:
    return http.request(method, path).is_success


def assert_unavailable(http: httpx.Client) -> None:
    for method, path in ADDRESSES:
        answer = http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE"), path
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_gateway_without_a_cache_says_so_and_answers_all_the_same(
    own_stack: LocalStack, tally: Tally
) -> None:
    question = Question(tally, use_cache=False)  # workers have one, and count this
    with served(gateway_for(ADMIN, client_settings_for(own_stack, cache_url=""))) as http:
        assert_unavailable(http)
        assert not question.is_known(http)


def test_a_cache_that_goes_away_is_told_of_and_one_that_comes_back_is_used(own_stack: LocalStack) -> None:
    with running() as cache:
        fleet = client_settings_for(own_stack, cache_url=cache.url)
        with served(gateway_for(ADMIN, fleet)) as http:
            wait_until(lambda: http.post(CLEAR).status_code == HTTPStatus.OK, what="the cache is there")
            cache.stop()
            wait_until(lambda: http.get("/api/v2/cache-stats").status_code == 503, what="it is told of")
            assert_unavailable(http)

            cache.start()
            for method, path in ADDRESSES:
                wait_until(partial(is_well, http, method, path), what=f"{path} works again")


def test_an_app_may_look_at_the_counts(own_stack: LocalStack) -> None:
    with served(gateway_for(APP, client_settings_for(own_stack))) as http:
        assert http.get("/api/v2/cache-stats").status_code == HTTPStatus.OK
