"""The whole way, with a real server and real worker processes: submit, queue, worker, reply."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import redis

from infra.demo.messages import load_messages
from infra.local.stack import LocalStack
from persona_system.errors import InvalidInput
from persona_system.models import Context, Message
from persona_system.vocabulary import ALL_KEYS
from producers import AsyncPersonaClient, PersonaClient, PersonaRequest, Unavailable
from producers.broker import BrokerPublisher
from producers.replies import ReplyReader
from producers.settings import ClientSettings
from tests.support.stack import client_settings_for, start_stack
from tests.support.valkey import server as broker_server
from tests.support.wait import wait_until
from workers.contract import names

KEY = "calm-medium-learning"
TOLD_WITHIN_S = 6.0  # on a machine that does other things, too


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A stack for one test, to stop and break."""
    started = start_stack(tmp_path)
    yield started
    started.stop()


def server(stack: LocalStack) -> "redis.Redis":
    return redis.Redis.from_url(stack.urls.reply_url)


def test_a_message_becomes_its_mentors_prompt(client: PersonaClient) -> None:
    response = client.process("Why does my build fail?", KEY, metadata={"ticket": 7})

    assert (response.persona_used, response.language) == ("Elro", "en")
    assert "Why does my build fail?" in response.content
    assert response.metadata == {"ticket": 7}


def test_a_korean_message_without_a_key_is_analysed_and_answered_in_korean(client: PersonaClient) -> None:
    response = client.process("배포가 또 실패했어요. 어떻게 해야 하죠?")

    assert response.language == "ko"
    assert response.analysis is not None
    assert response.resonance_key == response.analysis.key
    assert 0 < response.analysis.tone_confidence <= 1


def test_history_and_preferences_reach_the_prompt(client: PersonaClient) -> None:
    context = Context(user_id="u1", preferred_persona="Nana", history=(Message("user", "words before"),))

    assert "words before" in client.process("And now?", KEY, context=context).content


def test_a_recommendation_names_a_mentor_and_what_they_can_do(client: PersonaClient) -> None:
    advice = client.recommend("We have to agree on a release plan", "collaborative-medium-planning")

    assert advice.recommended_persona == "Nana"
    assert "collaborative" in advice.capabilities.best_for_tones


def test_many_keep_their_order_and_a_bad_one_harms_none(client: PersonaClient) -> None:
    requests = [PersonaRequest(f"message {n}", str(ALL_KEYS[n % 216])) for n in range(1300)]
    requests[7] = PersonaRequest("", KEY)
    requests[800] = PersonaRequest("hi", "calm-medium-gossip")
    outcomes = client.process_many(requests)

    assert [n for n, o in enumerate(outcomes) if o.status != "ok"] == [7, 800]
    assert isinstance(outcomes[7].error, InvalidInput)
    assert all(f"message {n}\n" in o.unwrap().content for n, o in enumerate(outcomes) if o.status == "ok")


def test_a_rejected_request_does_not_keep_its_batch_in_memory(client: PersonaClient) -> None:
    """An error's traceback holds the frames it came through, and they hold the batch, and it the error."""
    (good, bad) = client.submit_batch([PersonaRequest("hi", KEY), PersonaRequest("")]).result(30)

    assert good.error is None
    assert isinstance(bad.error, InvalidInput)
    assert (bad.error.__traceback__, bad.error.__context__) == (None, None)


def test_a_bulk_batch_travels_on_the_bulk_queue(client: PersonaClient) -> None:
    requests = [PersonaRequest(m.text) for m in load_messages()[:500]]
    outcomes = client.submit_batch(requests).result(30)

    assert all(o.status == "ok" for o in outcomes)
    assert {o.unwrap().language for o in outcomes} == {"ko", "en"}


def test_threads_share_a_client(client: PersonaClient) -> None:
    def ask(number: int) -> bool:
        return f"question {number}?" in client.process(f"question {number}?", KEY).content

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(640)))


def test_coroutines_get_each_their_own_answer(client_settings: ClientSettings) -> None:
    async def ask_all() -> list[str]:
        async with AsyncPersonaClient(client_settings) as client:
            handle = client.submit(PersonaRequest("by handle", KEY))
            answers = await asyncio.gather(*(client.process(f"question {n}?", KEY) for n in range(500)))
            assert "by handle" in (await handle).content
            many = await client.process_many([PersonaRequest("one of many", KEY)] * 3)
            assert [outcome.status for outcome in many] == ["ok"] * 3
            assert (await client.recommend("plan", "calm-medium-planning")).scores
            return [answer.content for answer in answers]

    contents = asyncio.run(ask_all())
    assert all(f"question {n}?" in content for n, content in enumerate(contents))


def test_a_caller_that_gives_up_does_not_disturb_others(client_settings: ClientSettings) -> None:
    async def give_up() -> None:
        async with AsyncPersonaClient(client_settings) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await client.process("never mind", KEY)
            assert (await client.process("still here", KEY)).content

    asyncio.run(give_up())


def test_a_client_made_before_a_fork_works_in_the_child_and_the_parent(client: PersonaClient) -> None:
    """As under a preloading web server: the child must not share the parent's sockets or threads."""
    assert client.process("before", KEY).content
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = client.process("in the child", KEY).content
            os.write(writing, b"ok" if "in the child" in said else b"wrong")
        finally:
            os._exit(0)
    os.close(writing)
    assert client.process("in the parent", KEY).content
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"ok"
    os.waitpid(child, 0)


def test_no_key_outlives_its_use(client: PersonaClient, stack: LocalStack) -> None:
    """Every key has an expiry, or is permanent by design: the broker's own, and a count."""
    client.process("hello", KEY)
    broker = ("_kombu.", "workers", "inflight:", *names.QUEUES)  # docs/brokers.md
    permanent = (*(f"{names.BROKER_PREFIX}{name}" for name in broker), names.DUPLICATES_KEY)
    with server(stack) as valkey:
        lasting = [k.decode() for k in valkey.scan_iter() if valkey.ttl(k) == -1]
    assert [key for key in lasting if not key.startswith(permanent)] == []


def test_what_operators_see_holds_no_words() -> None:
    """The message's headers, which events, logs and Flower are made of, tell counts and queues."""
    with broker_server() as valkey:
        publisher = BrokerPublisher(valkey.url, 1.0, 1.0)
        publisher.publish("persona.process", names.BULK, uuid.uuid4().hex, b"\x93 my secret words", 37)
        publisher.close()
        raw = valkey.client.rpop(f"{names.BROKER_PREFIX}{names.BULK}")
    assert isinstance(raw, bytes)
    assert b"37 jobs, bulk" in raw
    assert b"secret" not in raw


def test_the_patience_with_servers_adds_up_to_less_than_two_seconds(client_settings: ClientSettings) -> None:
    """One connection, one write.  What follows allows for a busy machine."""
    assert client_settings.connect_timeout_s < 1
    assert client_settings.publish_timeout_s < 2


def test_a_broker_that_is_away_is_told_at_once_and_recovery_needs_no_help(tmp_path: Path) -> None:
    first = start_stack(tmp_path)
    with PersonaClient(client_settings_for(first)) as client:
        assert client.process("before", KEY).content
        first.stop()
        with pytest.raises(Unavailable) as caught:
            client.submit(PersonaRequest("meanwhile", KEY)).result(TOLD_WITHIN_S)
        assert caught.value.what in {"the broker", "the reply store"}

        second = start_stack(tmp_path)
        try:

            def answered() -> bool:
                try:
                    return bool(client.process("after", KEY, deadline=timedelta(seconds=2)).content)
                except Unavailable:
                    return False

            wait_until(answered)
        finally:
            second.stop()


def test_a_frozen_broker_is_told_long_before_the_deadline(own_stack: LocalStack) -> None:
    """SIGSTOP: connections stay open and nothing answers."""
    valkey = next(p.pid for p in own_stack.processes() if p.name == "valkey")
    assert valkey is not None
    with PersonaClient(client_settings_for(own_stack)) as client:
        assert client.process("before", KEY).content
        os.kill(valkey, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):  # on the connection that is there
                client.submit(PersonaRequest("meanwhile", KEY)).result(TOLD_WITHIN_S)
            with pytest.raises(Unavailable):  # while a new one is made
                client.submit(PersonaRequest("meanwhile", KEY)).result(TOLD_WITHIN_S)
        finally:
            os.kill(valkey, signal.SIGCONT)


def test_work_is_done_by_the_other_worker_when_one_is_killed(own_stack: LocalStack) -> None:
    with PersonaClient(client_settings_for(own_stack)) as client:
        assert client.process("before", KEY).content
        victim = next(p.pid for p in own_stack.processes() if p.name == "worker1")
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(victim))  # a dying process may still be handed a message
        outcomes = [client.process(f"after {n}", KEY) for n in range(50)]
    assert len(outcomes) == 50


def test_a_graceful_stop_loses_nothing(tmp_path: Path) -> None:
    """Workers told to stop under load finish or give back what they hold; all is answered later."""
    first = start_stack(tmp_path)
    with PersonaClient(client_settings_for(first, deadline_s=60)) as client:
        futures = [client.submit_batch([PersonaRequest(f"m{n}", KEY) for n in range(400)]) for _ in range(30)]
        first.stop()
        second = start_stack(tmp_path)
        try:
            outcomes = [outcome for future in futures for outcome in future.result(90)]
        finally:
            second.stop()
    assert {outcome.status for outcome in outcomes} <= {"ok", "unsent"}
    assert len(outcomes) == 12_000


def test_closing_the_client_leaves_no_thread(client_settings: ClientSettings) -> None:
    with PersonaClient(client_settings) as client:
        client.process("hello", KEY)
    wait_until(lambda: not [t for t in threading.enumerate() if t.name in {"ion-sender", "ion-receiver"}])


def test_an_unread_reply_list_expires(stack: LocalStack, client_settings: ClientSettings) -> None:
    """A producer that died leaves its replies behind for two minutes at most."""
    reply_to = uuid.uuid4().hex
    script = (
        "import sys, time\n"
        "from producers.broker import BrokerPublisher\n"
        "from workers.contract.payloads import Batch\n"
        "import msgspec\n"
        "batch = Batch(id='b', reply_to=sys.argv[2], sent_ms=int(time.time() * 1000), jobs=[])\n"
        "BrokerPublisher(sys.argv[1], 1, 1).publish("
        "'persona.process', 'interactive', 'b', msgspec.msgpack.encode(batch), 0)\n"
    )
    subprocess.run([sys.executable, "-c", script, client_settings.urls()[0], reply_to], check=True)
    with server(stack) as valkey:
        wait_until(lambda: valkey.exists(names.reply_key(reply_to)))
        assert 0 < valkey.ttl(names.reply_key(reply_to)) <= names.REPLY_TTL_S


def test_a_reader_of_a_server_that_is_away_says_so(tmp_path: Path) -> None:
    reader = ReplyReader(f"unix://{tmp_path}/none.sock", "me", 0.5)
    with pytest.raises(Unavailable, match="the reply store is not available"):
        reader.poll(0.1)
