"""What the stack's errors tell."""

import pickle
from pathlib import Path

import pytest

from infra.local.errors import AlreadyRunning, StackError, StartCancelled, StartFailed, UnsafeDirectory


def test_a_failed_start_names_the_process_and_quotes_it() -> None:
    error = StartFailed("valkey", "ended 3 times while starting", ("Bad directive", "bye"))

    assert str(error) == "valkey ended 3 times while starting; its last log lines:\n  Bad directive\n  bye"
    assert str(StartFailed("w", "was slow", ())) == "w was slow; it logged nothing"


@pytest.mark.parametrize(
    "error",
    [
        StartFailed("valkey", "was slow", ("a",)),
        StartCancelled(),
        AlreadyRunning(None, Path("/x")),
        UnsafeDirectory(Path("/x"), "is a file", "remove it"),
    ],
)
def test_errors_survive_the_way_to_another_process(error: StackError) -> None:
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes
