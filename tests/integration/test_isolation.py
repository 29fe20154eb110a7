"""Jobs that end or hang their worker: found, set apart, buried; their neighbours are answered."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from infra.local.commands import worker_command
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from persona_system.models import Response
from producers import JobOutcome, PersonaClient, PersonaRequest
from tests.support.rabbit_host import virtual_host
from tests.support.stack import client_settings_for
from tests.support.wait import wait_until
from workers.contract.dead_letters import Reason
from workers.isolation import LOSSES
from workers.store.dead_letters import DeadLetterStore
from workers.store.engine import open_store
from workers.store.letters import Filter, KeptLetter

KEY = "calm-medium-learning"
RUNS = "ION_TEST_RUNS"  # as the poisonous worker reads it
DEADLINE = timedelta(seconds=280)

pytestmark = pytest.mark.timeout(300)


def poisonous_command(settings: LocalSettings, index: int) -> tuple[str, ...]:
    return tuple(
        "tests.support.poisonous_worker" if word == "workers.entry" else word
        for word in worker_command(settings, index)
    )


@dataclass
class Fleet:
    """Workers that do what a poisonous text says."""

    stack: LocalStack
    client: PersonaClient
    runs_file: Path
    lines: list[str] = field(default_factory=list)

    def runs(self) -> Counter[str]:
        """Return how often each poisonous text was begun."""
        with contextlib.suppress(FileNotFoundError):
            return Counter(self.runs_file.read_text().splitlines())
        return Counter()

    def answer(self, *texts: str) -> list[JobOutcome[Response]]:
        """Send *texts* as one batch, without keys, so that they are analysed."""
        requests = [PersonaRequest(text, deadline=DEADLINE) for text in texts]
        return self.client.submit_batch(requests).result(DEADLINE.total_seconds())

    def is_well(self) -> bool:
        return bool(self.client.process("still here?", KEY).content)


Start = Callable[..., AbstractContextManager[Fleet]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    @contextlib.contextmanager
    def started(*, hard_limit_s: float = 20.0, **settings: object) -> Iterator[Fleet]:
        monkeypatch.setenv(RUNS, str(tmp_path / "runs"))
        monkeypatch.setenv("ION_HARD_LIMIT_S", str(hard_limit_s))
        lines: list[str] = []
        given = {"state_dir": tmp_path / "ion", "broker_url": None, "reply_url": None, "beat": False}
        local = LocalSettings.model_validate({**given, "workers": 2, "cache": False, **settings})
        with (
            LocalStack(local, lambda name, line: lines.append(f"{name}: {line}"), poisonous_command) as stack,
            PersonaClient(client_settings_for(stack)) as client,
        ):
            yield Fleet(stack, client, tmp_path / "runs", lines)

    return started


def among(neighbours: int, *poisons: str) -> list[str]:
    """Return texts with the *poisons* spread among harmless ones."""
    texts = [f"Why does build {n} fail?" for n in range(neighbours)]
    for n, poison in enumerate(poisons):
        texts.insert((n + 1) * len(texts) // (len(poisons) + 1), poison)
    return texts


def dead_letters(stack: LocalStack) -> list[KeptLetter]:
    """Return what is kept by now."""
    assert stack.urls.database_url is not None
    with contextlib.closing(open_store(stack.urls.database_url)) as store:
        return DeadLetterStore(store).find(Filter(), 100)


def assert_only_poison_is_dead(texts: list[str], outcomes: list[JobOutcome[Response]]) -> None:
    ends = {text: outcome.status for text, outcome in zip(texts, outcomes, strict=True)}
    assert ends == {text: "dead" if text.startswith("poison") else "ok" for text in texts}


def test_jobs_that_end_their_worker_are_buried_and_their_neighbours_are_answered(start: Start) -> None:
    """Three of them in one batch, each in its own way; 37 neighbours."""
    texts = among(37, "poison exit", "poison segfault", "poison kill")
    with start() as fleet:
        outcomes = fleet.answer(*texts)

        assert_only_poison_is_dead(texts, outcomes)
        assert all(1 <= runs <= LOSSES for runs in fleet.runs().values())
        assert fleet.is_well()
        wait_until(lambda: len(dead_letters(fleet.stack)) == 3, 30)
        letters = dead_letters(fleet.stack)
    dead = [[outcome.job_id] for outcome in outcomes if outcome.status == "dead"]
    assert sorted(letter.job_ids for letter in letters) == sorted(dead)
    for letter in letters:
        assert (letter.reason, letter.queue) == (Reason.CRASHED, "bulk")
        assert "went on in a part: suspect" in [seen.what for seen in letter.story]
    assert not any("poison " in line for line in fleet.lines)


@pytest.mark.parametrize(("way", "reason"), [("hang", Reason.HUNG), ("stuck", Reason.CRASHED)])
def test_a_job_that_hangs_is_ended_and_buried(start: Start, way: str, reason: Reason) -> None:
    """Also where it keeps all Python code of its process from running; then nobody is left to say why."""
    texts = among(9, f"poison {way}")
    with start(hard_limit_s=5.0) as fleet:
        outcomes = fleet.answer(*texts)

        assert_only_poison_is_dead(texts, outcomes)
        assert fleet.runs()[f"poison {way}"] <= LOSSES
        assert fleet.is_well()
        wait_until(lambda: dead_letters(fleet.stack), 30)
        assert [letter.reason for letter in dead_letters(fleet.stack)] == [reason]
    assert any("most recent call first" in line for line in fleet.lines)


def test_what_can_be_caught_costs_no_worker(start: Start) -> None:
    """Too little memory, a wish to end the process, and a server that is away: each its own job's affair."""
    texts = among(7, "poison memory", "poison quit", "poison away")
    with start() as fleet:
        pids = {process.pid for process in fleet.stack.processes()}
        outcomes = fleet.answer(*texts)

        assert [o.status for o in outcomes] == ["failed" if t.startswith("poison") else "ok" for t in texts]
        assert fleet.runs() == {"poison memory": 1, "poison quit": 1, "poison away": 5}
        assert {process.pid for process in fleet.stack.processes()} == pids
    away = outcomes[texts.index("poison away")]
    assert str(away.error).count("tried 5 times") == 1


def test_a_stop_does_not_wait_for_a_job_that_hangs(start: Start) -> None:
    with start() as fleet:
        handle = fleet.client.submit(PersonaRequest("poison hang", deadline=DEADLINE))
        wait_until(fleet.runs, 30)
        began = time.monotonic()
        fleet.stack.stop()
        took_s = time.monotonic() - began
        assert not handle.done()
    assert took_s < fleet.stack.settings.stop_grace_s + 12  # the servers have theirs, too


@pytest.mark.parametrize("way", ["exit", "hang", "stuck"])
def test_a_pool_process_that_ends_is_counted_as_well(start: Start, way: str) -> None:
    """The main process lives on, so the broker sees no loss; the worker itself counts it."""
    texts = among(9, f"poison {way}")
    with start(hard_limit_s=5.0, worker_pool="prefork", workers=1) as fleet:
        (main,) = [process.pid for process in fleet.stack.processes() if process.name == "worker1"]
        outcomes = fleet.answer(*texts)

        assert_only_poison_is_dead(texts, outcomes)
        assert fleet.runs()[f"poison {way}"] <= LOSSES
        assert fleet.is_well()
        assert main in [process.pid for process in fleet.stack.processes()]


def test_neighbours_in_other_threads_are_answered_too(start: Start) -> None:
    """A process that ends takes the batches of all its threads with it; only one of them is to blame."""
    with start(worker_pool="threads", worker_concurrency=4, workers=1) as fleet:
        handles = [
            fleet.client.submit_batch(
                [PersonaRequest(f"batch {n}, text {m}", deadline=DEADLINE) for m in range(300)]
                + ([PersonaRequest("poison exit", deadline=DEADLINE)] if n == 2 else [])
            )
            for n in range(8)
        ]
        ends = Counter(outcome.status for handle in handles for outcome in handle.result(280))

        assert ends == {"ok": 8 * 300, "dead": 1}
        assert fleet.runs()["poison exit"] <= LOSSES


def test_rabbitmq_counts_what_is_lost_as_well(start: Start, stack: LocalStack) -> None:
    texts = among(39, "poison exit", "poison kill")
    with (
        virtual_host() as url,
        start(broker_url=url, reply_url=stack.urls.reply_url) as fleet,
    ):
        outcomes = fleet.answer(*texts)

        assert_only_poison_is_dead(texts, outcomes)
        assert all(runs <= LOSSES for runs in fleet.runs().values())
        assert fleet.is_well()


def test_a_job_whose_server_is_away_is_tried_again_over_rabbitmq(start: Start, stack: LocalStack) -> None:
    texts = among(7, "poison away")
    with (
        virtual_host() as url,
        start(broker_url=url, reply_url=stack.urls.reply_url) as fleet,
    ):
        outcomes = fleet.answer(*texts)

        assert [o.status for o in outcomes] == ["failed" if t.startswith("poison") else "ok" for t in texts]
        assert fleet.runs() == {"poison away": 5}
