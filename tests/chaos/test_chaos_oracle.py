"""Who watches the watchers: the oracle notices what is lost and what is done twice; so does the table."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.catalogue import SCENARIOS
from tests.chaos.report import write_report
from tests.chaos.scenario import Result, broken_account, percentile
from tests.chaos.verdict import Run
from tests.support.oracle import Oracle, Witness
from tests.support.valkey import server


def test_a_job_without_an_outcome_is_lost() -> None:
    oracle = Oracle()
    oracle.accept(["a", "b"])
    oracle.end([("a", "ok")])

    tally = oracle.tally()
    assert (tally.accepted, tally.lost, tally.twice) == (2, 1, 0)
    assert broken_account(tally) == ["1 of 2 accepted jobs have no outcome"]


def test_a_second_outcome_is_noticed_even_if_it_says_the_same() -> None:
    oracle = Oracle()
    oracle.accept(["a"])
    oracle.end([("a", "ok")])
    oracle.end([("a", "ok")])

    assert broken_account(oracle.tally()) == ["1 jobs have more than one outcome"]


def test_a_job_that_may_not_have_been_taken_is_not_lost() -> None:
    oracle = Oracle()
    oracle.doubt(["a", "b"])
    oracle.end([("b", "ok")])

    tally = oracle.tally()
    assert (tally.accepted, tally.lost, tally.unsure) == (0, 0, 2)


def test_percentiles_are_values_that_were_seen() -> None:
    """Of 1..100, 99 values lie at or below the 99th percentile's neighbour, 100."""
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (51.0, 100.0, 0.0)


@pytest.fixture
def witness() -> Iterator[Witness]:
    with server() as valkey:
        made = Witness(valkey.url, "worker1")
        yield made
        made.close()


def test_the_witness_counts_runs_and_knows_who_is_at_what(witness: Witness) -> None:
    for job in ("a", "b", "b"):
        witness.begins(job)
    witness.ends("a")

    assert (witness.runs("a"), witness.runs("b"), witness.runs("c"), witness.reruns()) == (1, 2, 0, 1)
    assert witness.working_on("worker1") == "b"
    assert (witness.ended(), witness.ended()) == (["a"], [])


def test_the_table_shows_what_did_not_hold_and_what_could_not_run(tmp_path: Path) -> None:
    first, second = SCENARIOS[:2]
    runs = [
        Run(first, "ours", Result(7, "1 of 9 lost", ["1 of 9 accepted jobs have no outcome"]), "", 1.0),
        Run(first, "rabbitmq", None, "RabbitMQ is not installed", 0.0),
        Run(first, "stock", Result(7, "5 of 9 lost", ["5 lost"]), "", 1.0),
        Run(second, "ours", Result(3, "0 of 9 lost", [], {"worst_s": 1.5}), "", 1.0),
    ]
    write_report(runs, 1, tmp_path)
    text = (tmp_path / "guarantees.md").read_text(encoding="utf-8")
    raw = json.loads((tmp_path / "guarantees.json").read_text(encoding="utf-8"))

    assert "**does not hold**: 1 of 9 lost | not run: RabbitMQ is not installed | 5 of 9 lost | 7 / 7" in text
    assert "holds: 0 of 9 lost" in text
    assert f"- {first.id}, ours: 1 of 9 accepted jobs have no outcome" in text
    assert raw["runs"][3]["figures"] == {"worst_s": 1.5}
    assert not runs[2].failed, "what is not ours is only measured"
    assert runs[1].failed, "a part of the suite that did not run is no proof"
