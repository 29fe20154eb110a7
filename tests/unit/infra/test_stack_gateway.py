"""The gateway beside the stack: whom it lets in, and how it is run."""

import socket
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.local.errors import AddressTaken
from infra.local.gateway import check_address, gateway_beside, gateway_spec
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from infra.local.up import whats_next
from producers.gateway.settings import GatewaySettings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound to it


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "BROKER_URL",
        "GATEWAY",
        "GATEWAY_HOST",
        "GATEWAY_PORT",
        "GATEWAY_ANONYMOUS",
        "GATEWAY_METRICS",
    ):
        monkeypatch.delenv(f"ION_{name}", raising=False)


def test_everybody_on_this_machine_may_try_the_stack_of_this_machine() -> None:
    assert gateway_beside(LocalSettings()).anonymous


def test_the_gateway_to_a_fleet_elsewhere_takes_credentials() -> None:
    external = LocalSettings(broker_url=SecretStr("redis://broker:6379/0"))
    assert not gateway_beside(external).anonymous


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "10.1.2.3", "gateway.example"])
def test_a_gateway_that_others_reach_takes_credentials(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ION_GATEWAY_HOST", host)
    assert not gateway_beside(LocalSettings()).anonymous


def test_who_says_whether_everybody_may_come_in_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_GATEWAY_ANONYMOUS", "false")
    assert not gateway_beside(LocalSettings()).anonymous
    monkeypatch.setenv("ION_GATEWAY_ANONYMOUS", "true")
    monkeypatch.setenv("ION_GATEWAY_HOST", EVERYWHERE)
    with pytest.raises(ValueError, match="loopback addresses only"):
        gateway_beside(LocalSettings())


def test_it_shows_metrics_unless_it_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gateway_beside(LocalSettings()).metrics
    monkeypatch.setenv("ION_GATEWAY_METRICS", "false")
    assert not gateway_beside(LocalSettings()).metrics


def test_it_is_one_of_our_processes_and_gets_time_to_stop_well() -> None:
    spec = gateway_spec(GatewaySettings(drain_s=5, stop_grace_s=7), LocalSettings(), {"ION_BROKER_URL": "b"})

    assert spec.argv == (sys.executable, "-m", "producers.gateway")
    assert spec.env == {
        "ION_BROKER_URL": "b",
        "ION_GATEWAY_ANONYMOUS": "False",
        "ION_GATEWAY_METRICS": "False",
    }
    assert spec.where == "http://127.0.0.1:8000"
    assert spec.stop_grace_s > 5 + 7


def test_a_stack_has_no_gateway_unless_it_is_told_to(tmp_path: Path) -> None:
    assert LocalStack(LocalSettings(state_dir=tmp_path)).gateway is None
    assert LocalStack(LocalSettings(state_dir=tmp_path, gateway=True)).gateway is not None


def test_a_taken_address_is_told_with_the_options() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressTaken) as caught:
            check_address(GatewaySettings(port=port))
    assert f"127.0.0.1:{port} is not available: address already in use" in str(caught.value)
    assert "ION_GATEWAY_PORT" in str(caught.value)
    assert "--no-gateway" in str(caught.value)
    check_address(GatewaySettings(port=port))


def test_what_to_try_next_fits_the_gateway() -> None:
    assert "curl" not in whats_next()
    trial = whats_next(GatewaySettings(anonymous=True, port=8080))
    assert "curl http://127.0.0.1:8080/api/v2/process -H 'Content-Type: application/json' -d '{" in trial
    assert '-H "X-API-Key: $KEY"' in whats_next(GatewaySettings())


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), (EVERYWHERE, "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],
)
def test_the_url_is_one_that_this_machine_can_ask(host: str, url: str) -> None:
    assert GatewaySettings(host=host, port=80).url == url
    assert GatewaySettings(host=host, port=80, tls_cert=Path("c"), tls_key=Path("k")).url.startswith("https:")
