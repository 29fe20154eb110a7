"""Jobs that end or hang their worker: found, set apart, buried; their neighbours are answered."""

import contextlib
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
from tests.support.stack import client_settings_for
from workers.isolation import LOSSES

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


@pytest.mark.parametrize("way", ["exit", "segfault"])
def test_a_job_that_ends_its_worker_is_buried_and_its_neighbours_are_answered(start: Start, way: str) -> None:
    poison = f"poison {way}"
    texts = among(39, poison)
    with start() as fleet:
        outcomes = fleet.answer(*texts)

        assert [o.status for o in outcomes] == ["dead" if t == poison else "ok" for t in texts]
        assert fleet.runs()[poison] == LOSSES
        assert fleet.is_well()
    assert not any("poison" in line for line in fleet.lines if "poisonous_worker" not in line)
