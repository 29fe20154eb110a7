"""What a real server of Sentry's protocol makes of our reports: issues, grouped, without people's words."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentry_sdk

from tests.support.bugsink import Bugsink, bugsink
from tests.support.wait import wait_until
from workers.monitoring.events import PersonaProcessEvent
from workers.observability.context import binding
from workers.observability.settings import ObservabilitySettings
from workers.observability.starting import switched_on

WORDS = "my very private words"

pytestmark = pytest.mark.timeout(300)  # the first time, it is installed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bugsink]:
    with bugsink(tmp_path / "bugsink") as running:
        yield running
    sentry_sdk.get_global_scope().set_client(None)


def failing(words: str) -> None:
    raise ValueError(words)


def test_errors_and_findings_become_issues(server: Bugsink) -> None:
    settings = ObservabilitySettings.model_validate(
        {"sentry_dsn": server.dsn, "environment": "staging", "sentry_traces_sample_rate": 1.0, "otel": False}
    )
    seen = switched_on(settings, "eu")
    try:
        failing(WORDS)
    except ValueError as error:
        with binding(batch_id="b" * 32, job_id="job-1"):
            seen.report_bug("answering a job", error)
    event = PersonaProcessEvent(
        at_ms=1,
        region="eu",
        task="persona.process",
        queue="interactive",
        endpoint="process",
        batch_id="b" * 32,
        jobs=1,
        ended={"failed": 1},
        errors={"ValueError": 1},
    )
    for tell in seen.tells:
        tell(event)
    seen.tracing.close()

    wait_until(lambda: len(server.issues()) == 2, 20, "both are there")
    by_kind = {issue["calculated_type"]: issue for issue in server.issues()}
    bug, finding = by_kind["ValueError"], by_kind["Log Message"]
    (kept,) = server.events(bug)
    told = json.dumps(kept)
    assert kept["data"]["environment"] == "staging"
    assert kept["data"]["release"].startswith("ion-mentoring@")
    assert kept["data"]["tags"]["job_id"] == "job-1"
    assert "failing" in told
    assert "Persona Processing Error" in finding["calculated_value"]
    assert WORDS not in told + json.dumps([server.events(finding), server.issues()])
