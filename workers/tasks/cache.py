"""The periodic tasks of the answer cache.  Their work is the runtime's upkeep."""

from workers.runtime import Runtime


def warm(runtime: Runtime) -> None:
    """Have the popular answers at hand, computed anew where they are missing or due."""
    runtime.upkeep.warm()


def prefetch(runtime: Runtime) -> None:
    """Compute what batches expect to be asked next and have left for later."""
    runtime.upkeep.prefetch()
