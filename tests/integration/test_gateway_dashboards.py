"""The dashboards' pages over HTTP: who may see them, what they may load, and when they cannot be made."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from producers.gateway.app import build_gateway
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings
from tests.support.gateway_app import served
from tests.support.seeded_database import seed
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.store.api_keys import ApiKeyStore, make_key
from workers.store.engine import open_store

NO_FLEET = "redis://127.0.0.1:1/0"  # operators look at dashboards when it is away


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seed(tmp_path_factory.mktemp("seeded") / "ion.db", time.time(), hours=1)


@pytest.fixture(scope="module")
def keys(database: str) -> dict[str, str]:
    made = {}
    now_ms = int(time.time() * 1000)
    with open_store(database) as store:
        for role, user in (("service", None), ("admin", None), ("user", "mina")):
            key, made[role] = make_key(role, role, user, now_ms, None)
            ApiKeyStore(store).add(key)
    return made


@pytest.fixture(scope="module")
def guarded(database: str, keys: dict[str, str]) -> Iterator[httpx.Client]:
    """A gateway that asks for credentials."""
    _ = keys
    with served(build_gateway(GatewaySettings(), fleet_of(database))) as client:
        yield client


@pytest.fixture(scope="module")
def anonymous(database: str) -> Iterator[httpx.Client]:
    with served(build_gateway(GatewaySettings(anonymous=True), fleet_of(database))) as client:
        yield client


def fleet_of(database: str) -> ClientSettings:
    return ClientSettings.model_validate(
        {"broker_url": NO_FLEET, "cache_url": "", "database_url": database, "connect_timeout_s": 0.2}
    )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_page_and_its_figures(anonymous: httpx.Client, name: str) -> None:
    answer = anonymous.get(f"/dashboards/{name}", params={"window": "6h"})
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{DASHBOARDS[name].title}</h1>" in answer.text
    told = anonymous.get(f"/dashboards/{name}.json", params={"window": "6h"}).json()
    assert (told["dashboard"], told["window_s"]) == (name, 21_600)
    assert told["age_s"] is not None
    written = anonymous.get(f"/dashboards/{name}.md")
    assert written.headers["content-type"] == "text/markdown; charset=utf-8"
    assert written.text.startswith(f"# {DASHBOARDS[name].title}\n")


def test_the_first_one_is_the_overview(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/dashboards", follow_redirects=True)
    assert answer.url.path == "/dashboards/overview"
    assert answer.status_code == httpx.codes.OK


def test_a_page_may_load_from_here_only_and_be_framed_by_nobody(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/dashboards/overview")
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("file", "kind"),
    [("dashboards.css", "text/css"), ("dashboards.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
    ids=["style", "script", "icon"],
)
def test_what_a_page_loads_needs_no_key(guarded: httpx.Client, file: str, kind: str) -> None:
    answer = guarded.get(f"/dashboards/assets/{file}")
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["content-type"].startswith(kind)
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/dashboards/nope",
        "/dashboards/overview.exe",
        "/dashboards/assets/page.html",
        "/dashboards/assets/..%2Fhtml.py",
    ],
)
def test_there_is_nothing_else(anonymous: httpx.Client, path: str) -> None:
    assert anonymous.get(path).status_code == httpx.codes.NOT_FOUND


def test_an_unknown_window_is_refused(anonymous: httpx.Client) -> None:
    as_page = anonymous.get("/dashboards/overview", params={"window": "<b>"})
    assert as_page.status_code == httpx.codes.BAD_REQUEST
    assert "Window is no window; use one of 1h, 6h, 24h, 72h." in as_page.text
    assert "<b>" not in as_page.text
    as_json = anonymous.get("/dashboards/overview.json", params={"window": "2h"})
    assert as_json.json()["error"]["field"] == "window"


@pytest.mark.parametrize("role", ["service", "admin"])
def test_a_browser_shows_a_key_as_a_password(guarded: httpx.Client, keys: dict[str, str], role: str) -> None:
    for headers in (
        {"X-API-Key": keys[role]},
        {"Authorization": f"Bearer {keys[role]}"},
    ):
        assert guarded.get("/dashboards/overview", headers=headers).status_code == httpx.codes.OK
    answer = guarded.get("/dashboards/overview", auth=("anybody", keys[role]))
    assert answer.status_code == httpx.codes.OK
    assert "Availability" in answer.text


def test_without_a_key_a_browser_is_asked_for_one(guarded: httpx.Client) -> None:
    answer = guarded.get("/dashboards/overview")
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert answer.headers["www-authenticate"].startswith('Basic realm="ION dashboards"')
    assert "Availability" not in answer.text
    as_json = guarded.get("/dashboards/overview.json")
    assert as_json.status_code == httpx.codes.UNAUTHORIZED
    assert as_json.headers["www-authenticate"] == 'Bearer realm="ion"'


def test_a_wrong_key_and_one_of_a_user_see_nothing(guarded: httpx.Client, keys: dict[str, str]) -> None:
    wrong = guarded.get("/dashboards/overview", auth=("anybody", f"{keys['admin'][:-1]}!"))
    assert wrong.status_code == httpx.codes.UNAUTHORIZED
    users = guarded.get("/dashboards/overview", auth=("anybody", keys["user"]))
    assert users.status_code == httpx.codes.FORBIDDEN
    assert users.headers.get("www-authenticate") is None
    for answer in (wrong, users):
        assert "Availability" not in answer.text


def test_without_a_database_the_page_says_so_and_tries_again() -> None:
    fleet = fleet_of("postgresql://operator:secret@127.0.0.1:1/ion")
    with served(build_gateway(GatewaySettings(anonymous=True), fleet)) as client:
        answer = client.get("/dashboards/overview")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "The database is not available." in answer.text
        assert 'http-equiv="refresh" content="5"' in answer.text
        assert "127.0.0.1" not in answer.text  # where it is, is for operators
        told = client.get("/dashboards/overview.json").json()
        assert told["error"]["code"] == "UNAVAILABLE"


def test_before_anything_is_measured_the_page_says_so(tmp_path: Path) -> None:
    fleet = fleet_of(f"sqlite:///{tmp_path / 'new.db'}")
    with served(build_gateway(GatewaySettings(anonymous=True), fleet)) as client:
        answer = client.get("/dashboards/overview")
        assert answer.status_code == httpx.codes.OK
        assert "No data: nothing was measured in the last 1 h" in answer.text


def test_they_can_be_switched_off(database: str) -> None:
    settings = GatewaySettings(anonymous=True, dashboards=False)
    with served(build_gateway(settings, fleet_of(database))) as client:
        assert client.get("/dashboards/overview").status_code == httpx.codes.NOT_FOUND
