"""What callers may ask for in headers: to wait, or not to, and to have something done once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.call import Call
from producers.gateway.entry.preferences import Preferences, preferences_of
from producers.gateway.errors import WrongValue

MAX_WAIT_S = 60.0


def read(*prefer: str, key: str | None = None) -> Preferences:
    headers = [(b"prefer", value.encode("latin-1")) for value in prefer]
    if key is not None:
        headers.append((b"idempotency-key", key.encode("latin-1")))
    return preferences_of(Call.of({"type": "http", "headers": headers}), MAX_WAIT_S)


NOW = Preferences()
LATER = Preferences(respond_async=True)


@pytest.mark.parametrize(
    ("prefer", "meant"),
    [
        pytest.param([], NOW, id="nothing"),
        pytest.param([""], NOW, id="an empty header"),
        pytest.param(["respond-async"], LATER, id="later"),
        pytest.param(["Respond-Async"], LATER, id="in any letter case"),
        pytest.param(['respond-async=""'], LATER, id="an empty value is none"),
        pytest.param(["respond-async=no"], NOW, id="it takes no value"),
        pytest.param(["wait=10"], Preferences(wait_s=10), id="wait"),
        pytest.param(['wait = "10"'], Preferences(wait_s=10), id="wait, quoted"),
        pytest.param(["wait=3600"], Preferences(wait_s=60), id="longer than allowed"),
        pytest.param(["wait=" + "9" * 400], Preferences(wait_s=60), id="longer than a number can tell"),
        pytest.param(["respond-async, wait=2"], Preferences(True, 2), id="both"),  # noqa: FBT003
        pytest.param(["wait=2", "respond-async"], Preferences(True, 2), id="in two headers"),  # noqa: FBT003
        pytest.param(["respond-async; wait=5"], LATER, id="a parameter is no preference"),
        pytest.param(["wait=5, wait=7"], Preferences(wait_s=5), id="the first of two counts"),
        pytest.param(["handling=lenient, wait=5"], Preferences(wait_s=5), id="others are ignored"),
        pytest.param(['x="a, wait=5, b"'], NOW, id="what is quoted is no preference"),
        pytest.param(['x="never closed, wait=5'], NOW, id="nor what is never unquoted"),
        pytest.param(["respond-async, wait=0"], Preferences(True, 0), id="no wait"),  # noqa: FBT003
        pytest.param([",, ,respond-async,"], LATER, id="empty parts"),
    ],
)
def test_what_is_preferred(prefer: list[str], meant: Preferences) -> None:
    """RFC 7240: names, some with values; what is not known is ignored, of repeats the first counts."""
    assert read(*prefer) == meant


@pytest.mark.parametrize("wait", ["", "-1", "1.5", "1e3", "ten", "5 6", "²", "0x5"])
def test_a_wait_is_whole_seconds(wait: str) -> None:
    with pytest.raises(WrongValue, match="whole seconds") as refused:
        read(f"wait={wait}")
    assert refused.value.field == "Prefer"


def test_no_wait_at_all_needs_a_later() -> None:
    with pytest.raises(WrongValue, match="add respond-async"):
        read("wait=0")


def test_what_was_heeded_is_told() -> None:
    assert read().applied() == ()
    assert read("handling=strict").applied() == ()
    assert read("wait=90").applied() == (("preference-applied", "wait=60"),)
    assert read("wait=2, respond-async").applied() == (("preference-applied", "respond-async, wait=2"),)


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_header_is_understood_or_refused(prefer: str) -> None:
    """Any other exception, and any wait out of range, fails this test."""
    try:
        wait_s = read(prefer).wait_s
    except WrongValue:
        return
    assert wait_s is None or 0 <= wait_s <= MAX_WAIT_S


@pytest.mark.parametrize(
    ("key", "meant"),
    [("order-17", "order-17"), ('"order-17"', "order-17"), (" a b ", "a b"), ("k" * 255, "k" * 255)],
    ids=["bare", "quoted", "with a blank", "long"],
)
def test_an_idempotency_key(key: str, meant: str) -> None:
    """The draft has it quoted, most callers do not; both are the same key."""
    assert read(key=key).idempotency_key == meant


@pytest.mark.parametrize("key", ["", '""', "k" * 256, "schlüssel", "a\x7fb"], ids=ascii)
def test_what_is_no_idempotency_key(key: str) -> None:
    with pytest.raises(WrongValue, match="1 to 255 visible ASCII characters") as refused:
        read(key=key)
    assert refused.value.field == "Idempotency-Key"
