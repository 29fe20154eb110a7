"""The pages about the API: from here only, known again, and off where they are not wanted."""

import re

import pytest

from tests.support.api_pages import shown

PAGES = ("/docs", "/redoc")
ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_anywhere_else(path: str) -> None:
    """Not by what is in it, and the browser is told not to."""
    page = shown(path)
    loaded = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded)
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe" not in policy["script-src"]
    assert not re.search(r"https?:|\*", page.headers["content-security-policy"])


@pytest.mark.parametrize("path", PAGES)
def test_a_page_finds_what_it_loads(path: str) -> None:
    for address in re.findall(r'(?:src|href|spec-url)="([^"]+)"', shown(path).text):
        assert shown(address).status_code == 200, address


def test_other_addresses_keep_the_strict_policy() -> None:
    policy = shown("/openapi.json").headers["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"


def test_the_document_is_not_sent_to_who_has_it() -> None:
    first = shown("/openapi.json")
    again = shown("/openapi.json", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"] == "application/json"
    assert (again.status_code, again.content) == (304, b"")
    assert shown("/openapi.json", headers={"If-None-Match": '"another"'}).status_code == 200


def test_browsers_may_keep_scripts_and_styles() -> None:
    for name in ASSETS:
        assert "max-age" in shown(f"/docs/assets/{name}").headers["cache-control"]


def test_nothing_else_of_the_package_is_served() -> None:
    assert shown("/docs/assets/../core.py").status_code == 404
    assert shown("/docs/assets/%2e%2e/core.py").status_code == 404


@pytest.mark.parametrize("path", [*PAGES, "/openapi.json", f"/docs/assets/{ASSETS[0]}"])
def test_an_installation_can_do_without(path: str) -> None:
    refused = shown(path, docs=False)
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "NOT_FOUND"
