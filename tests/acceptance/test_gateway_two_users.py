"""Two users of one gateway, one of whom attacks: no job, answer or sign of the other's can be had.

Each has an API key of role user; ``mina`` is the victim, and whoever attacks knows all that she sends.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from infra.local.stack import LocalStack
from tests.support.gateway import Running, ended, environment_of, follow, gateway
from tests.support.wait import wait_until
from workers.store.api_keys import ApiKeyStore, make_key
from workers.store.engine import open_store

PROCESS, BULK = "/api/v2/process", "/api/v2/bulk-process"
LATER = {"Prefer": "respond-async"}
LOOKALIKES = ["Mina", "mina2", "mina.", "ｍina", "mіna", "min", "user:mina", "u:mina"]  # full width, Cyrillic

Login = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def running(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("users")
    environment = {**environment_of(stack), "ION_DATABASE_URL": f"sqlite:///{directory / 'ion.db'}"}
    with (
        open_store(environment["ION_DATABASE_URL"]) as store,
        gateway(environment, directory, anonymous=False) as made,
    ):
        for user in ("mina", "juno", *LOOKALIKES):
            key, text = make_key(user, "user", user, int(time.time() * 1000), None)
            ApiKeyStore(store).add(key)
            (directory / f"{user}.key").write_text(text)
        yield made


@pytest.fixture(scope="module")
def login(running: Running) -> Iterator[Login]:
    """Return a client of a user's."""
    clients: dict[str, httpx.Client] = {}

    def client_of(user: str) -> httpx.Client:
        if user not in clients:
            key = (running.log_file.parent / f"{user}.key").read_text()
            clients[user] = running.client(headers={"X-API-Key": key})
        return clients[user]

    yield client_of
    for client in clients.values():
        client.close()


@pytest.fixture(scope="module")
def mina(login: Login) -> httpx.Client:
    return login("mina")


@pytest.fixture(scope="module")
def juno(login: Login) -> httpx.Client:
    return login("juno")


def secret() -> str:
    return f"팀장님께 말하지 못한 이야기가 있어요. {uuid.uuid4()}"


def post(client: httpx.Client, body: object, path: str = PROCESS, **headers: str) -> Any:
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


def same_refusal(one: httpx.Response, other: httpx.Response) -> bool:
    """Say whether two answers tell the same, but for whose they are and when."""
    bodies = [{**answer.json(), "request_id": "", "timestamp": ""} for answer in (one, other)]
    headers = [{**answer.headers, "x-request-id": "", "date": ""} for answer in (one, other)]
    return one.status_code == other.status_code and bodies[0] == bodies[1] and headers[0] == headers[1]


@pytest.mark.parametrize("state", ["pending_or_ended", "ended"])
def test_anothers_job_is_like_one_that_never_was(mina: httpx.Client, juno: httpx.Client, state: str) -> None:
    job = mina.post(PROCESS, json={"user_input": secret()}, headers=LATER).headers["location"]
    own = juno.post(PROCESS, json={"user_input": secret()}, headers=LATER).headers["location"]
    if state == "ended":
        ended(mina, job)
    hers, mine = (place.removeprefix("/api/v2/jobs/") for place in (job, own))
    never = juno.get("/api/v2/jobs/" + "0" * 64)
    assert never.status_code == httpx.codes.NOT_FOUND

    half = len(hers) // 2
    guesses = [hers, hers.upper(), hers[:half] + mine[half:], mine[:half] + hers[half:], hers[::-1]]
    for guess in guesses:
        for what in ("", "/events"):
            assert same_refusal(juno.get(f"/api/v2/jobs/{guess}{what}"), never)
        seen = {"Last-Event-ID": "2", "X-User-ID": "mina", "X-Forwarded-User": "mina"}
        assert same_refusal(juno.get(f"/api/v2/jobs/{guess}/events", headers=seen), never)
        assert same_refusal(juno.get(f"/api/v2/jobs/{guess}?user_id=mina"), never)
    assert [number for number, _, _ in follow(mina, job)] == ["1", "2"]


def test_anothers_idempotency_key_is_another_key(mina: httpx.Client, juno: httpx.Client) -> None:
    """The attacker knows the key, and even the request: nothing of what was done under it is told."""
    key, asked = {"Idempotency-Key": "order-17"}, {"user_input": secret(), "use_cache": False}
    told = post(mina, asked, **key)

    other = {"user_input": secret(), "use_cache": False}
    mine = post(juno, other, **key)  # no conflict, which would tell that mina used it
    assert other["user_input"] in mine["content"]
    assert told["content"] != mine["content"]

    again = juno.post(PROCESS, json=asked, headers=key)
    assert again.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT"  # with the attacker's own request
    jobs = [one.post(PROCESS, json=asked, headers={**LATER, "Idempotency-Key": "k"}) for one in (mina, juno)]
    assert len({job.headers["location"] for job in jobs}) == 2
    assert post(mina, asked, **key)["content"] == told["content"]


CONTEXTS: dict[str, dict[str, object]] = {
    "empty": {},
    "session": {"session_id": "s-1"},
    "history": {"message_history": [{"role": "user", "content": "어제는 울었어요"}]},
    "all": {"session_id": "s-1", "message_history": [{"role": "user", "content": "어제는 울었어요"}]},
}


@pytest.mark.parametrize("bulk", [False, True], ids=["alone", "in_bulk"])
@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_anothers_answer_with_context_is_in_nobody_elses_cache(
    mina: httpx.Client,
    juno: httpx.Client,
    context: dict[str, object],
    bulk: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Whoever sends the very same gets an answer of its own, made afresh: nothing tells that mina asked."""
    asked = {"user_input": secret(), "context": context}
    wait_until(lambda: post(mina, asked)["performance"]["cache_hit"], what="mina's answer is cached")
    hers = post(mina, asked)

    mine = post(juno, {"requests": [asked]}, BULK)["results"][0] if bulk else post(juno, asked)
    assert mine["performance"]["cache_hit"] is False
    assert mine["performance"]["cache_key"] != hers["performance"]["cache_key"]
    assert "mina" in hers["content"]
    assert mine["content"] == hers["content"].replace("mina", "juno")


@pytest.mark.parametrize("user", LOOKALIKES)
def test_a_user_whose_name_looks_alike_is_another_one(mina: httpx.Client, login: Login, user: str) -> None:
    asked = {"user_input": secret(), "context": {"session_id": "s-1"}}
    job = mina.post(PROCESS, json=asked, headers=LATER).headers["location"]
    wait_until(lambda: post(mina, asked)["performance"]["cache_hit"], what="mina's answer is cached")

    other = login(user)
    assert post(other, asked)["performance"]["cache_hit"] is False
    assert other.get(job).status_code == httpx.codes.NOT_FOUND


def test_anothers_history_does_not_come_into_an_answer(mina: httpx.Client, juno: httpx.Client) -> None:
    text, said = secret(), secret()
    history = [{"role": "user", "content": said}]
    hers = post(mina, {"user_input": text, "context": {"session_id": "s-1", "message_history": history}})
    assert said in hers["content"]

    for context in (None, {}, {"session_id": "s-1"}):
        told = post(juno, {"user_input": text, "context": context, "include_metadata": True})
        assert said not in str(told)
        assert told["performance"]["cache_hit"] is False


@pytest.mark.parametrize("name", ["mina", "Juno", "juno ", "*"])
def test_nobody_may_speak_for_another_user(mina: httpx.Client, juno: httpx.Client, name: str) -> None:
    asked = {"user_input": secret(), "context": {"user_id": name}}
    for headers in ({}, LATER, {"Idempotency-Key": str(uuid.uuid4())}):
        refused = juno.post(PROCESS, json=asked, headers=headers)
        assert refused.status_code == httpx.codes.FORBIDDEN
        assert refused.json()["error"]["field"] == "context.user_id"
    told = post(juno, {"requests": [asked, {"user_input": secret()}]}, BULK)
    assert [one["success"] for one in told["results"]] == [False, True]
    assert told["results"][0]["error"]["code"] == "FORBIDDEN"

    if name == "mina":
        assert post(mina, asked)["success"] is True


def test_a_user_may_not_look_at_the_whole_cache_of_the_fleet_or_void_it(juno: httpx.Client) -> None:
    for path in ("/api/v2/cache/clear", "/api/v2/cache/invalidate?pattern=user:mina"):
        assert juno.post(path).status_code == httpx.codes.FORBIDDEN
