"""Which request, batch and job a process is at, for its logs and its reports: ids, never what people wrote.

What is bound holds for this thread, or this task of an event loop, and whatever it calls.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_NOTHING: Mapping[str, str] = {}
_BOUND: ContextVar[Mapping[str, str]] = ContextVar("ion_bound", default=_NOTHING)


@contextmanager
def binding(**ids: str | None) -> Iterator[None]:
    """Bind *ids*, such as ``batch_id``, within the block, beside those that are bound; None binds nothing."""
    given = {name: value for name, value in ids.items() if value is not None}
    token = _BOUND.set({**_BOUND.get(), **given})
    try:
        yield
    finally:
        _BOUND.reset(token)


def bound() -> Mapping[str, str]:
    """Return the ids that are bound."""
    return _BOUND.get()
