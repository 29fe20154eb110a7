"""Wait for something to become true, instead of sleeping for as long as it might take."""

import time
from collections.abc import Callable

POLL_S = 0.02


def wait_until(condition: Callable[[], object], deadline_s: float = 10.0, what: str = "") -> None:
    """Return as soon as *condition* is true; fail the test after *deadline_s* seconds."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= deadline:
            subject = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"{subject}: not within {deadline_s:g} s")
        time.sleep(POLL_S)
