"""The mentors over HTTP: all of them, one by any of its names, and what nobody is called."""

from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest

from infra.local.stack import LocalStack
from persona_system.catalogue import load_catalogue
from tests.support.gateway import gateway

NAMES = ("Lua", "Elro", "Riri", "Nana")


@pytest.fixture(scope="module")
def http(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A caller of a gateway."""
    directory = tmp_path_factory.mktemp("personas")
    with gateway(stack.urls.environment(), directory) as running, running.client() as client:
        yield client


def test_all_mentors_are_listed_in_the_matrix_order(http: httpx.Client) -> None:
    answer = http.get("/api/v2/personas")
    told = answer.json()

    assert answer.status_code == HTTPStatus.OK
    assert set(told) == {"success", "total", "personas", "timestamp", "request_id"}
    assert (told["success"], told["total"]) == (True, 4)
    assert tuple(one["name"] for one in told["personas"]) == NAMES
    assert told["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("name", NAMES)
def test_a_mentor_is_shown_as_the_catalogue_has_it(http: httpx.Client, name: str) -> None:
    persona = load_catalogue().personas.find(name)
    shown = http.get(f"/api/v2/personas/{name}").json()["persona"]

    assert shown == {
        "name": persona.name,
        "korean_name": persona.korean_name,
        "role": persona.role,
        "traits": list(persona.traits),
        "strengths": list(persona.strengths),
        "prompt_style": persona.prompt_style,
        "preferred_tones": list(persona.preferred_tones),
        "best_for_tones": list(persona.best_for_tones),
        "best_for_paces": list(persona.best_for_paces),
        "best_for_intents": list(persona.best_for_intents),
    }
    assert shown in http.get("/api/v2/personas").json()["personas"]


@pytest.mark.parametrize("name", ["lua", "LUA", "lUa", "루아", "%EB%A3%A8%EC%95%84", "%6Cua", "Lua%20"])
def test_a_mentor_has_many_spellings(http: httpx.Client, name: str) -> None:
    assert http.get(f"/api/v2/personas/{name}").json()["persona"]["name"] == "Lua"


NOBODY = ["Bob", "%2e%2e", "%00", "%FF%FE", "%ZZ", "*", "Lua%0D%0ASet-Cookie:x", "a" * 3_000, "{name}"]


@pytest.mark.parametrize("name", NOBODY, ids=lambda name: name[:12])
def test_an_unknown_mentor_is_not_found_and_the_known_ones_are_named(http: httpx.Client, name: str) -> None:
    """Never a 400, although for the domain it is a wrong value: here it is what was asked for."""
    answer = http.get(f"/api/v2/personas/{name}")
    error = answer.json()["error"]

    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert (error["code"], error["field"]) == ("UNKNOWN_PERSONA", "name")
    assert error["message"].endswith("use one of Lua, Elro, Riri, Nana")
    assert len(error["message"]) < 200


@pytest.mark.parametrize(
    "path", ["..%2F..%2Fetc%2Fpasswd", "%2F%2Fetc%2Fpasswd", "Lua%2F..%2FElro", "Lua/", "", "Lua/traits"]
)
def test_a_path_leads_nowhere_else(http: httpx.Client, path: str) -> None:
    answer = http.get(f"/api/v2/personas/{path}")
    told = answer.json()

    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert set(told) == {"success", "error", "request_id", "timestamp"}
    assert told["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/api/v2/personas", "/api/v2/personas/Elro"])
def test_a_caller_that_has_the_answer_need_not_get_it_again(http: httpx.Client, path: str) -> None:
    first = http.get(path)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, max-age=60"

    for known in (etag, etag.removeprefix("W/"), f'"another", {etag}', "*"):
        again = http.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert http.get(path, headers={"If-None-Match": '"another"'}).status_code == HTTPStatus.OK
    assert "ETag" not in http.get("/api/v2/personas/Bob").headers
