"""The periodic tasks of monitoring.  Their work is the runtime's monitoring."""

from workers.runtime import Runtime


def collect(runtime: Runtime) -> None:
    """Take in what processes have measured, and look at the queues, the workers and the database."""
    runtime.monitoring.collect()


def evaluate(runtime: Runtime) -> None:
    """Judge the rules that are due, and notify."""
    runtime.monitoring.evaluate()


def tidy(runtime: Runtime) -> None:
    """Delete what is older than its time."""
    runtime.monitoring.tidy()


def digest(runtime: Runtime) -> None:
    """Send the day's digest when its hour has come."""
    runtime.monitoring.digest()
