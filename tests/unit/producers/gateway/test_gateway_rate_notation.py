"""How rate limits are written, and what is told to who writes them otherwise."""

import pytest
from pydantic import ValidationError

from producers.gateway.access.rate_notation import parse_rate
from producers.gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    ("notation", "amount", "period_s"),
    [
        ("1000/second", 1000, 1),
        ("600/minute", 600, 60),
        ("10 per 2 hours", 10, 7_200),
        (" 5 / day ", 5, 86_400),
        ("1000000000/year", 1_000_000_000, 31_104_000),
    ],
)
def test_a_number_and_a_period(notation: str, amount: int, period_s: int) -> None:
    rate = parse_rate(notation)

    assert (rate.amount, rate.get_expiry()) == (amount, period_s)


@pytest.mark.parametrize(
    "notation",
    [
        "",
        "fast",
        "10",
        "10/fortnight",
        "-1/second",
        "0/second",
        "1.5/second",
        "1000000001/second",
        "10/2 years",
        "10/second; 100/minute",
        "10/second, 100/minute",
        pytest.param("9" * 5_000 + "/second", id="more digits than Python reads"),
    ],
)
def test_anything_else_is_refused_with_the_fix(notation: str) -> None:
    """The library itself takes the first of several limits, and one that lets nobody in."""
    with pytest.raises(ValueError, match="e\\.g\\. 1000/second"):
        parse_rate(notation)


@pytest.mark.parametrize("field", ["rate_limit_key", "rate_limit_address", "rate_limit_refused"])
def test_the_settings_name_the_field(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ION_GATEWAY_{field.upper()}", "fast")

    with pytest.raises(ValidationError) as caught:
        GatewaySettings()
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
    assert "'fast' is no rate limit" in str(caught.value)
