"""A gateway, a worker and a beat, seen by Sentry, by OpenTelemetry and in their logs: who did what for whom.

What people write is marked, wherever a request can hold it, and is found in nothing that leaves a process.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.commands import worker_command
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient, PersonaRequest
from tests.support.gateway import Running, ended, environment_of, gateway
from tests.support.stack import client_settings_for
from tests.support.telemetry import Telemetry, telemetry
from tests.support.wait import wait_until

MARKER = "x7qmarkedwords"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = bytes.fromhex(TRACEPARENT[3:35])


def failing_worker(settings: LocalSettings, index: int) -> tuple[str, ...]:
    command = worker_command(settings, index)
    return tuple("tests.support.failing_worker" if word == "workers.entry" else word for word in command)


@dataclass
class Observed:
    """What runs, what was sent of it, and what it has said."""

    stack: LocalStack
    gateway: Running
    seen: Telemetry
    lines: list[str] = field(default_factory=list)

    def ask(self, text: str, **headers: str) -> httpx.Response:
        """Send a message with words in every place for them."""
        body = {
            "user_input": f"{text} {MARKER}",
            "context": {
                "user_id": f"user-{MARKER}",
                "session_id": f"session-{MARKER}",
                "message_history": [{"role": "user", "content": f"earlier {MARKER}"}],
            },
            "metadata": {f"key {MARKER}": f"value {MARKER}"},
            "use_cache": False,
        }
        with self.gateway.client() as client:
            return client.post("/api/v2/process", json=body, headers=headers)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    directory = tmp_path_factory.mktemp("observed")
    with telemetry() as seen, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "ION_SENTRY_DSN": seen.dsn,
            "ION_SENTRY_TRACES_SAMPLE_RATE": "1",
            "ION_ENVIRONMENT": "staging",
            "ION_LOG_FORMAT": "json",
            "ION_OTEL": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": seen.url,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }.items():
            patch.setenv(name, value)
        lines: list[str] = []
        settings = LocalSettings(
            state_dir=directory / "ion", broker_url=None, reply_url=None, workers=1, beat=True, cache_url=None
        )
        stack = LocalStack(settings, lambda _, line: lines.append(line), failing_worker)
        stack.start()
        try:
            with gateway(environment_of(stack), directory) as running:
                yield Observed(stack, running, seen, lines)
        finally:
            stack.stop()


def transactions(seen: Telemetry, name: str) -> list[Any]:
    return [one for one in seen.sentry("transaction") if one["transaction"] == name]


def test_a_request_is_one_trace_from_its_caller_to_the_job(observed: Observed) -> None:
    """caller -> gateway -> submit -> publish -> batch -> job: five spans of ours, one trace id."""
    assert observed.ask("deploy failed", traceparent=TRACEPARENT).status_code == 200

    def ours(name: str) -> list[Any]:
        return [span for span in observed.seen.named(name) if span.trace_id == TRACE_ID]

    chain = ("POST /api/v2/process", "submit interactive", "publish interactive", "process interactive")
    wait_until(lambda: all(ours(name) for name in (*chain, "answer a job")), 20, "all spans came")

    request, submit, publish, batch = (ours(name)[0] for name in chain)
    (job,) = ours("answer a job")
    assert request.parent_span_id == bytes.fromhex(TRACEPARENT[36:52])
    assert submit.parent_span_id == request.span_id
    assert publish.parent_span_id == submit.span_id
    assert batch.parent_span_id == publish.span_id
    assert job.parent_span_id == batch.span_id
    assert [link.span_id for link in batch.links] == [submit.span_id]
    assert [link.span_id for link in job.links] == [submit.span_id]
    told = {one.key: one.value for one in batch.attributes}
    assert told["messaging.batch.message_count"].int_value == 1
    assert {service for service, _ in observed.seen.spans} == {"ion-gateway", "ion-worker"}


def test_sentry_has_the_worker_below_the_gateway_in_one_trace(observed: Observed) -> None:
    observed.ask("deploy failed", **{"X-Request-ID": "request-of-sentry"})

    def of_request() -> list[Any]:
        return [
            one
            for one in transactions(observed.seen, "POST /api/v2/process")
            if one["contexts"]["trace"]["data"].get("ion.request_id") == "request-of-sentry"
        ]

    wait_until(lambda: len(of_request()) == 1, 20, "the gateway's transaction came")
    (request,) = of_request()
    trace = request["contexts"]["trace"]
    assert (request["environment"], trace["op"]) == ("staging", "http.server")
    assert request["release"].startswith("ion-mentoring@")
    (publish,) = [span for span in request["spans"] if span["op"] == "queue.publish"]

    def of_worker() -> list[Any]:
        every = transactions(observed.seen, "persona.process")
        return [one for one in every if one["contexts"]["trace"]["trace_id"] == trace["trace_id"]]

    wait_until(lambda: len(of_worker()) == 1, 20, "the worker's transaction came")
    (batch,) = of_worker()
    assert batch["contexts"]["trace"]["parent_span_id"] == publish["span_id"]
    assert batch["contexts"]["persona_process"]["ended"] == {"ok": 1}
    assert [span["op"] for span in batch["spans"]] == ["persona.answer"]
    assert batch["spans"][0]["data"]["ion.request_id"] == "request-of-sentry"


def test_a_failed_job_is_an_error_with_its_ids_and_without_its_words(observed: Observed) -> None:
    """One error of a kind is sent in ten seconds, and only this test meets this one."""
    assert observed.ask("break", **{"X-Request-ID": "request-that-fails"}).status_code == 500

    def errors() -> list[Any]:
        events = [one for one in observed.seen.sentry("event") if "exception" in one]
        return [one for one in events if one["exception"]["values"][0]["type"] == "LookupError"]

    wait_until(lambda: bool(errors()), 20, "the error came")
    (error,) = errors()
    (exception,) = error["exception"]["values"]
    assert exception["value"] == ""
    assert exception["stacktrace"]["frames"][-1]["function"] == "analyse"
    assert error["tags"]["request_id"] == "request-that-fails"
    assert error["tags"]["task"] == "persona.process"


def test_what_an_event_rule_finds_is_a_message(observed: Observed) -> None:
    observed.ask("fail")

    def found() -> list[Any]:
        events = [one for one in observed.seen.sentry("event") if "exception" not in one]
        return [one for one in events if one["tags"]["rule"] == "Persona Processing Error"]

    wait_until(lambda: bool(found()), 20, "the rule's message came")
    message = found()[0]
    assert message["message"].startswith("Persona Processing Error: process failed with ")
    assert message["level"] == "error"
    assert message["contexts"]["finding"]["times"] >= 1


def test_the_beat_checks_in_and_the_worker_says_how_it_went(observed: Observed) -> None:
    def check_ins(slug: str) -> list[Any]:
        return [one for one in observed.seen.sentry("check_in") if one["monitor_slug"] == slug]

    wait_until(lambda: len(check_ins("cache-warm")) == 2, 20, "the tick began and ended")
    began, done = check_ins("cache-warm")
    assert (began["status"], done["status"]) == ("in_progress", "ok")
    assert began["check_in_id"] == done["check_in_id"]
    assert began["monitor_config"]["schedule"] == {"type": "interval", "value": 1, "unit": "minute"}
    assert done["duration"] >= 0
    slugs = {one["monitor_slug"] for one in observed.seen.sentry("check_in")}
    assert slugs <= {"cache-warm", "dead-tidy", "monitoring-tidy", "monitoring-digest"}


def test_log_lines_are_objects_with_the_ids_of_what_they_tell_of(observed: Observed) -> None:
    observed.ask("fail", **{"X-Request-ID": "request-in-the-log"})
    said: list[dict[str, Any]] = []

    def told() -> bool:
        said[:] = [json.loads(line) for line in list(observed.lines) if line.startswith("{")]
        return any(line.get("request_id") == "request-in-the-log" for line in said)

    wait_until(told, 20, "the worker's line came")
    (line,) = [line for line in said if line.get("request_id") == "request-in-the-log"]
    assert line["message"].startswith("answering a job failed: ValueError at ")
    assert line.keys() > {"ts", "level", "logger", "process", "region", "task", "queue", "worker", "batch_id"}
    assert re.fullmatch(r"[0-9a-f]{32}", line["batch_id"])
    from_gateway = [json.loads(line) for line in observed.gateway.log().splitlines()]
    assert {line["region"] for line in from_gateway} == {"local"}


def followed(observed: Observed, job_id: str, code: int = 0) -> Any:
    done = subprocess.run(
        [Path(sys.executable).with_name("ion"), "jobs", "trace", job_id, "--json"],
        env={**os.environ, "ION_STATE_DIR": str(observed.stack.settings.state_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert MARKER not in done.stdout
    return json.loads(done.stdout)


def test_one_command_follows_a_job_from_its_request_to_its_end(observed: Observed) -> None:
    answer = observed.ask("fail", Prefer="respond-async", **{"X-Request-ID": "request-followed"})
    job_id = answer.headers["location"].rpartition("/")[2]
    with observed.gateway.client() as client:
        ended(client, answer.headers["location"])

    found = followed(observed, job_id)
    assert (found["status"], found["request_id"]) == ("failed", "request-followed")
    assert [one["what"] for one in found["timeline"]] == ["accepted", "sent", "taken", "settled"]
    assert found["timeline"][2]["worker"] == "worker1@ion"
    assert found["notes"] == ["INTERNAL: an internal error (ValueError)"]
    assert re.fullmatch(r"[0-9a-f]{32}", found["trace_id"])


def test_a_job_that_is_not_durable_is_followed_by_its_clients_trail(observed: Observed) -> None:
    with PersonaClient(client_settings_for(observed.stack, cache_url="")) as client:
        handle = client.submit(PersonaRequest(f"deploy failed {MARKER}"))
        handle.result(20)

        found = followed(observed, handle.job_id)
        nothing = followed(observed, f"{handle.job_id}f", code=1)
    assert found["status"] == "ok"
    assert [one["what"] for one in found["timeline"]] == ["sent", "taken", "settled"]
    assert nothing["status"] == "unknown"
    assert "the latest 1,000 batches" in " ".join(nothing["notes"])


def test_what_people_wrote_has_left_in_nothing(observed: Observed) -> None:
    """Every envelope and every lot of spans so far, decompressed, and every line of the logs."""
    observed.ask("deploy failed")
    answer = observed.ask("fail", Prefer="respond-async")
    with observed.gateway.client() as client:
        assert ended(client, answer.headers["location"])["status"] == "failed"
    before = observed.seen.asked
    wait_until(lambda: observed.seen.asked > before, 20, "more was sent")

    assert len(observed.seen.raw) > 10
    everything = b"\n".join(observed.seen.raw).decode(errors="replace")
    assert MARKER not in everything
    assert "deploy failed" not in everything
    assert not any(MARKER in line for line in list(observed.lines))
    assert MARKER not in observed.gateway.log()
