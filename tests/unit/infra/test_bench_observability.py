"""The cost of observability is told as ratios within rounds, and shown against what was aimed at."""

import http.client
import io

import pytest
from rich.console import Console

from infra.bench.measure import Round
from infra.bench.observability import FLEETS, _report, _turned
from infra.bench.observability_show import show
from infra.bench.observability_sink import sink


def figures() -> dict[str, object]:
    """Return those of rounds in which the machine's speed doubles, and the watched fleets are 5 % slower."""
    rounds = {}
    for name in FLEETS:
        share, more_ms = (1.0, 0.0) if name == FLEETS[0] else (0.95, 0.5)
        for load in ("batches", "one caller", "100 callers"):
            speeds = [1_000 * share, 2_000 * share, 4_000 * share]
            latencies = [2.0 + more_ms] * 20 if load != "batches" else []
            rounds[name, load] = [Round(1.0, int(speed), latencies) for speed in speeds]
    machine = {"cores": 2, "processor": "x", "python": "3", "versions": {"celery": "5"}}
    push = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}
    return {"machine": machine, "push": push, **_report(rounds)}


def test_what_counts_is_the_ratio_within_a_round() -> None:
    found = figures()

    each = dict.fromkeys(("batches", "one caller", "100 callers"), 0.95)
    assert found["ratios"] == dict.fromkeys(FLEETS[1:], each)
    added = found["p95_added_ms"]
    assert isinstance(added, dict)
    assert added[FLEETS[1]]["one caller"] == pytest.approx(0.5)


def test_each_fleet_is_first_in_turn() -> None:
    assert [_turned(number)[0] for number in range(5)] == [*FLEETS, FLEETS[0]]
    assert all(sorted(_turned(number)) == sorted(FLEETS) for number in range(4))


def test_it_is_shown_beside_what_was_aimed_at() -> None:
    out = io.StringIO()
    show(Console(file=out, width=110), figures())

    assert "metrics and events" in out.getvalue()
    assert "0.95" in out.getvalue()
    assert "+0.50" in out.getvalue()


def test_the_sink_takes_what_is_sent() -> None:
    with sink() as dsn:
        line = http.client.HTTPConnection(dsn.partition("@")[2].partition("/")[0])
        for _ in range(2):
            line.request("POST", "/api/1/envelope/", b"x" * 100_000)
            answer = line.getresponse()
            assert (answer.status, answer.read()) == (200, b"{}")
        line.close()
