"""What schemathesis has to know of the API beside its document; loaded by tests/acceptance/api.toml."""

import uuid
from typing import Any

import schemathesis

_PATTERNS = ("persona:*", "endpoint:process", "user:42", "session:가", "function:greeting")
_WHOLE_NUMBERS = range(-(2**63), 2**64)


@schemathesis.hook
def filter_body(context: Any, body: object) -> bool:  # noqa: ARG001 - the hook's signature
    """Leave out whole numbers that no worker is sent: a schema cannot tell 2**64 from 2.0**64, which are."""
    return not _holds_huge_number(body)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:  # noqa: ARG001 - the hook's signature
    """Make what is sent mean something, where that depends on more than the request itself."""
    headers = case.headers or {}
    if "Idempotency-Key" in headers and _is_good(case):
        headers["Idempotency-Key"] = uuid.uuid4().hex  # what a key was used for before, no schema tells
    if "Prefer" in headers and _is_good(case) and "wait" not in headers["Prefer"]:
        headers["Prefer"] = "respond-async"  # what is not known is ignored, and would make no job to follow
    query = case.query or {}
    if "pattern" in query and _is_good(case):
        query["pattern"] = _PATTERNS[
            len(query["pattern"]) % len(_PATTERNS)
        ]  # data says which names there are


def _is_good(case: Any) -> bool:
    """Tell whether every part of the request is as the document says."""
    return bool(case.meta is None or case.meta.generation.mode.is_positive)


def _holds_huge_number(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_huge_number(each) for each in value.values())
    if isinstance(value, list):
        return any(_holds_huge_number(each) for each in value)
    return isinstance(value, int) and value not in _WHOLE_NUMBERS
