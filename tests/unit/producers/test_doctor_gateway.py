"""What the doctor says of the gateway: whether it answers, and whom it lets in."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from producers.cli.doctor_gateway import door_check, gateway_checks
from tests.support.gateway import free_port


@pytest.mark.parametrize(
    ("anonymous", "keys", "tokens", "status", "found"),
    [
        pytest.param(True, 0, False, "warn", "lets in everybody", id="anonymous"),
        pytest.param(False, 0, False, "warn", "lets in nobody", id="no_key"),
        pytest.param(False, 0, True, "ok", "takes 0 keys, and tokens", id="tokens"),
        pytest.param(False, 1, False, "ok", "takes 1 key", id="one_key"),
        pytest.param(False, 1_200, True, "ok", "takes 1,200 keys, and tokens", id="both"),
    ],
)
def test_who_comes_in_is_told(
    anonymous: bool,  # noqa: FBT001 - a parameter of the test
    keys: int,
    tokens: bool,  # noqa: FBT001 - likewise
    status: str,
    found: str,
) -> None:
    check = door_check(anonymous=anonymous, keys=keys, tokens=tokens)
    assert (check.status, check.found.startswith(found)) == (status, True)
    assert bool(check.fix) == (status == "warn")


def test_where_nobody_listens_there_is_no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_GATEWAY_PORT", str(free_port()))
    (check,) = gateway_checks()
    assert (check.status, check.found.startswith("none runs at http://127.0.0.1:")) == ("ok", True)


@pytest.fixture
def another_program() -> Iterator[int]:
    """The port of a server that is no gateway."""
    server = http.server.HTTPServer(("127.0.0.1", 0), QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """Answers everything with 200, and says nothing on stderr."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_another_program_at_the_port_is_no_gateway(
    another_program: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ION_GATEWAY_PORT", str(another_program))
    (check,) = gateway_checks()
    assert check.status == "warn"
    assert check.found.endswith("is no gateway")
    assert "ION_GATEWAY_PORT" in check.fix
