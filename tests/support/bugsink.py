"""Bugsink, a server that speaks Sentry's protocol: a tool for tests, in an environment of its own.

It is installed when first asked for, into ``.ion-tools`` of the checkout, with its database migrated; each
run works on a copy of that.  Where it cannot be installed, tests that need it are skipped and say so;
``ION_TEST_REQUIRE_TOOLS=1`` fails them instead.  Its licence allows one's own use on one's own machine;
nothing of the project depends on it.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import free_port
from tests.support.tools import REQUIRED
from tests.support.wait import wait_until

VERSION = "2.6.1"
_TOOLS = Path(__file__).parents[2] / ".ion-tools"
_PYTHON = f"py{sys.version_info.major}{sys.version_info.minor}"
_INSTALL_S, _COMMAND_S, _START_S = 180.0, 60.0, 60.0
_API = "/api/canonical/0"


@dataclass(frozen=True, slots=True)
class Bugsink:
    """A server that runs, and a project in it."""

    client: httpx.Client
    dsn: str

    def issues(self) -> list[Any]:
        """Return the issues so far."""
        found: list[Any] = self._get("/issues/", project=1)["results"]
        return found

    def events(self, issue: Any) -> list[Any]:
        """Return the events of an issue, with all that the server kept of them."""
        listed = self._get("/events/", issue=issue["id"])["results"]
        return [self._get(f"/events/{event['id']}/") for event in listed]

    def _get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(_API + path, params=parameters)
        answer.raise_for_status()
        return answer.json()


@contextlib.contextmanager
def bugsink(directory: Path) -> Iterator[Bugsink]:
    """Run Bugsink in *directory*; skip, or fail, the test that asks when it cannot be had."""
    home = _installed()
    shutil.copytree(home / "migrated", directory, dirs_exist_ok=True)
    port = free_port()
    with (directory / "bugsink_conf.py").open("a", encoding="utf-8") as conf:
        conf.write(f'\nBUGSINK["BASE_URL"] = "http://127.0.0.1:{port}"\n')
    token = (directory / "token").read_text(encoding="ascii")
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [home / "bin" / "gunicorn", "-b", f"127.0.0.1:{port}", "--threads", "4", "bugsink.wsgi"],
            cwd=directory,
            env=_environment(directory),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"}, timeout=20.0
        ) as client:
            wait_until(lambda: _answers(client), _START_S, "Bugsink answers")
            team = client.post(f"{_API}/teams/", json={"name": "operators"}).json()["id"]
            project = client.post(f"{_API}/projects/", json={"name": "ion", "team": team}).json()["id"]
            yield Bugsink(client, client.get(f"{_API}/projects/{project}/").json()["dsn"])
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # what it has is a copy
        server.wait()


def _installed() -> Path:
    """Return where it is installed; install it, once for all who ask at the same time."""
    home = _TOOLS / f"bugsink-{VERSION}-{_PYTHON}"
    if (home / "migrated").exists():
        return home
    _TOOLS.mkdir(exist_ok=True)
    (_TOOLS / ".gitignore").write_text("*\n", encoding="utf-8")
    with (_TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "migrated").exists():
            try:
                _install(home)
            except (OSError, subprocess.SubprocessError) as error:
                shutil.rmtree(home, ignore_errors=True)
                _missing(error)
    return home


def _install(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=_COMMAND_S, capture_output=True)
    uv = Path(sys.executable).with_name("uv")
    python = home / "bin" / "python"
    pip = [str(uv), "pip", "install", "--python", str(python)]
    if not uv.exists():
        pip = [str(python), "-m", "pip", "install"]
    wanted = ("--quiet", f"bugsink=={VERSION}")
    subprocess.run([*pip, *wanted], check=True, timeout=_INSTALL_S, capture_output=True)
    draft = home / "draft"
    draft.mkdir()
    local = ("--template", "local", "--port", "1", "--host", "127.0.0.1", "-o", "bugsink_conf.py")
    _run(home, draft, "bugsink-create-conf", *local)
    with (draft / "bugsink_conf.py").open("a", encoding="utf-8") as conf:
        conf.write('\nBUGSINK["PHONEHOME"] = False\n')
    _run(home, draft, "bugsink-manage", "migrate")
    _run(home, draft, "bugsink-manage", "migrate", "snappea", "--database=snappea")
    token = _run(home, draft, "bugsink-manage", "create_auth_token").split()[-1]
    (draft / "token").write_text(token, encoding="ascii")
    draft.rename(home / "migrated")


def _run(home: Path, directory: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [home / "bin" / program, *arguments],
        cwd=directory,
        env=_environment(directory),
        check=True,
        timeout=_COMMAND_S,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _environment(directory: Path) -> dict[str, str]:
    """Return an environment in which it finds its configuration, and writes nothing elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SENTRY"))}
    return {**kept, "HOME": str(directory), "PYTHONPATH": str(directory)}


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get(f"{_API}/projects/").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _missing(error: Exception) -> None:
    missing = (
        f"NO BUGSINK ON THIS MACHINE ({type(error).__name__}): what a real server of Sentry's protocol makes "
        f"of our reports is NOT tested by this run; it takes a network, or {_TOOLS} of another checkout"
    )
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{missing} ({REQUIRED}=1)", pytrace=False)
    pytest.skip(missing)
