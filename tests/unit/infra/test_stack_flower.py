"""Flower beside the stack: how it is run, where its links lead, and what people are told of it."""

import http.server
import socket
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from infra import cli
from infra.fleet import LocalFleet
from infra.flower.keeping import Keeping
from infra.flower.settings import FlowerSettings
from infra.local.errors import AddressTaken
from infra.local.flower import CONFIGURATION, check_address, flower_beside, flower_spec
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from infra.local.up import how_to_watch
from infra.stack_checks import flower_check
from producers.cli.app import run
from producers.cli.collaborators import Collaborators
from producers.gateway.settings import GatewaySettings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "FLOWER", *(f"FLOWER_{name.upper()}" for name in FlowerSettings.model_fields)):
        monkeypatch.delenv(f"ION_{name}", raising=False)


def test_it_is_one_of_our_processes_and_nobody_waits_for_it() -> None:
    spec = flower_spec(FlowerSettings(port=6000), LocalSettings(), {"ION_BROKER_URL": "b"})

    assert spec.argv[-2:] == ("flower", f"--conf={CONFIGURATION}")
    assert CONFIGURATION.is_file()
    assert spec.env == {"ION_BROKER_URL": "b", "ION_FLOWER_DASHBOARDS_URL": ""}
    assert spec.where == "http://127.0.0.1:6000, user ion"
    assert not spec.awaited


def test_no_password_stands_in_its_command_or_its_row() -> None:
    spec = flower_spec(FlowerSettings(basic_auth=SecretStr("ann:hunter2")), LocalSettings(), {})
    assert "hunter2" not in repr(spec)


def test_its_links_lead_to_the_gateway_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = GatewaySettings(port=8080)
    assert flower_beside(gateway).dashboards_url == "http://127.0.0.1:8080"
    assert flower_beside(None).dashboards_url is None
    monkeypatch.setenv("ION_FLOWER_DASHBOARDS_URL", "https://ops.example/ion/")
    assert flower_beside(gateway).dashboards_url == "https://ops.example/ion"


def test_a_stack_has_no_flower_unless_it_is_told_to(tmp_path: Path) -> None:
    assert LocalStack(LocalSettings(state_dir=tmp_path)).flower is None
    stack = LocalStack(LocalSettings(state_dir=tmp_path, flower=True, gateway=True))
    assert [spec.name for spec in stack._stages()[-1]] == ["flower"]


def test_a_taken_address_is_told_with_the_options() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressTaken) as caught:
            check_address(FlowerSettings(port=port))
    for said in (
        f"127.0.0.1:{port} is not available: address already in use",
        "ION_FLOWER_PORT",
        "--no-flower",
    ):
        assert said in str(caught.value)
    check_address(FlowerSettings(port=port))


@pytest.mark.parametrize("terminal", [True, False])
def test_the_password_is_shown_to_people_and_not_to_log_files(
    tmp_path: Path,
    terminal: bool,  # noqa: FBT001 - a column of the table
) -> None:
    stack = LocalStack(LocalSettings(state_dir=tmp_path, flower=True))
    kept = Keeping.of(tmp_path)
    told = how_to_watch(stack, Console(force_terminal=terminal))

    assert "http://127.0.0.1:5555, user ion, password" in told
    assert (kept.password_file.read_text() in told, str(kept.password_file) in told) == (
        terminal,
        not terminal,
    )


def test_a_password_of_yours_is_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ION_FLOWER_BASIC_AUTH", "ann:hunter2")
    stack = LocalStack(LocalSettings(state_dir=tmp_path, flower=True))

    told = how_to_watch(stack, Console(force_terminal=True))

    assert "user ann, password as in ION_FLOWER_BASIC_AUTH" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("words", "variable", "runs"),
    [
        ([], None, True),
        (["--no-flower"], None, False),
        ([], "false", False),
        (["--flower"], "false", True),
    ],
    ids=["as it is", "left out", "switched off", "wanted all the same"],
)
def test_up_runs_it_unless_it_is_told_not_to(
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    variable: str | None,
    runs: bool,  # noqa: FBT001 - a column of the table
) -> None:
    asked: list[LocalSettings] = []

    def run_until_stopped(settings: LocalSettings, console: Console, *, quiet: bool) -> int:
        _ = console, quiet
        asked.append(settings)
        return 0

    monkeypatch.setattr("infra.local.up.run_until_stopped", run_until_stopped)
    if variable is not None:
        monkeypatch.setenv("ION_FLOWER", variable)

    assert run(cli.build(), Collaborators(LocalFleet()), ["up", *words]) == 0
    assert [settings.flower for settings in asked] == [runs]


class Door(http.server.BaseHTTPRequestHandler):
    """Answers as Flower does; *open_to_all* its metrics, too."""

    open_to_all = False

    def do_GET(self) -> None:
        self.send_response(200 if self.open_to_all or self.path == "/healthcheck" else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("open_to_all", [True, False])
def test_the_doctor_tells_whether_it_asks_for_a_password(
    open_to_all: bool,  # noqa: FBT001 - a column of the table
) -> None:
    door = type("Door", (Door,), {"open_to_all": open_to_all})
    with http.server.HTTPServer(("127.0.0.1", 0), door) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        settings = FlowerSettings(port=server.server_port)
        found = flower_check(settings)
        server.shutdown()

    assert (found.status, found.name) == ("warn" if open_to_all else "ok", "flower")
    assert "everybody" in found.found if open_to_all else "password" in found.found
    assert flower_check(settings).found.startswith("none runs at")
