"""The benchmark of the gateway: what it sends, what it makes of the answers, and what it says without wrk."""

import json
from pathlib import Path

import pytest

from infra import cli
from infra.bench.http_cases import PHASES, Case, Target
from infra.bench.http_load import NUMBER, Answers
from infra.bench.http_run import Round, row_of
from infra.bench.http_servers import Server
from infra.fleet import LocalFleet
from producers.cli.app import run
from producers.cli.collaborators import Collaborators
from producers.gateway.schemas import MAX_BULK, BulkRequest, ProcessRequest

CASES = {case.name: case for phase in PHASES for case in phase}
SERVER = Server("http://127.0.0.1:1", 1)


def rounds(per_s: float, p95_ms: float) -> list[Round]:
    return [Round(Answers(100, per_s, 1.0, p95_ms, 9.0), cpu_us=100.0)] * 3


@pytest.mark.parametrize("name", [one.name for one in CASES.values() if one.path.endswith("/process")])
def test_every_body_is_a_request_that_the_gateway_takes(name: str) -> None:
    bodies = CASES[name].load(SERVER, "k").bodies
    assert bodies
    for body in bodies:
        ProcessRequest.model_validate(json.loads(body))


def test_a_bulk_body_is_full() -> None:
    bodies = CASES["bulk of 100, new"].load(SERVER, "k").bodies
    sizes = {len(BulkRequest.model_validate(json.loads(body)).requests) for body in bodies}
    assert sizes == {MAX_BULK}


def test_new_texts_never_repeat_and_known_ones_do() -> None:
    assert all(NUMBER in body for body in CASES["new, key given"].load(SERVER, "k").bodies)
    assert not any(NUMBER in body for body in CASES["cached"].load(SERVER, "k").bodies)


def test_a_case_shows_its_key_unless_it_is_about_having_none() -> None:
    assert CASES["cached"].load(SERVER, "ion_k").headers == ("X-API-Key: ion_k",)
    assert CASES["cached, no API key"].load(SERVER, "ion_k").headers == ()


def test_a_target_is_told_as_reached_or_not() -> None:
    """1,200 beside 1,000 answers a second are 1.2 times as many; a p95 of 20 ms is over 15."""
    case = Case("cached", "/", 100, Target(ratio=1.0, p95_ms=15.0))
    row = row_of(case, rounds(1_200, p95_ms=20.0), rounds(1_000, p95_ms=1.0))

    assert row["ratio"] == 1.2
    assert row["holds"] == {"ratio": True, "p95_ms": False}


def test_without_wrk_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, so that ``make bench`` can go on."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert run(cli.build(), Collaborators(LocalFleet()), ["bench-http"]) == 3
    assert "apt-get install wrk" in capsys.readouterr().err
