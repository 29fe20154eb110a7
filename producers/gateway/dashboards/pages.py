"""The addresses of the dashboards: pages for people, and the same numbers as JSON and Markdown.

They are for the roles service and admin.  A browser asks its user, by HTTP Basic, for an API key as the
password, since a page has no other way to show one; the name does not matter.  Nothing can be changed here,
so another site gains nothing by sending a browser here, and none may show these pages within its own.
"""

import base64
import binascii
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.responses import Response as HttpResponse

from producers.dashboards import Dashboards
from producers.errors import ProducerError, Unavailable
from producers.gateway.call import Call, TheCall
from producers.gateway.dashboards.shelf import Shelf
from producers.gateway.errors import Forbidden, GatewayError, Refusal, WrongValue, refusal_of
from producers.gateway.ports import Door
from workers.monitoring.dashboards.ahead import WINDOWS_S
from workers.monitoring.dashboards.as_json import json_of
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.html import ASSETS, Links, apology, page
from workers.monitoring.dashboards.markdown import markdown
from workers.monitoring.dashboards.model import Dashboard
from workers.store.errors import StoreError

PAGES = "/dashboards"
_WHAT = "the database"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class DashboardPages:
    """Shows what *open_dashboards* opens, once somebody asks, to whom *door* lets in."""

    def __init__(self, open_dashboards: Callable[[], Dashboards], door: Door) -> None:
        self._open, self._door = open_dashboards, door
        self._opened: Dashboards | None = None
        self._opening = threading.Lock()
        self._shelf = Shelf[bytes](_WHAT)
        self._assets = {file.name: file.read_bytes() for file in sorted(ASSETS.iterdir())}
        digest = hashlib.sha256(b"".join(self._assets.values())).hexdigest()[:12]
        self._links = links = Links(PAGES, f"{PAGES}/assets", digest)
        self._formats: Mapping[str, tuple[str, Callable[[Dashboard], str]]] = {
            "": ("text/html", partial(page, links=links)),
            "json": ("application/json", json_of),
            "md": ("text/markdown", markdown),
        }

    def routes(self) -> list[APIRoute]:
        """Return the routes of all this."""
        endpoints: dict[str, Callable[..., object]] = {
            PAGES: self.first,
            f"{PAGES}/assets/{{file}}": self.asset,
            f"{PAGES}/{{name}}": self.show,
        }
        return [APIRoute(path, one, include_in_schema=False) for path, one in endpoints.items()]

    async def aclose(self) -> None:
        """Give the connections back."""
        if self._opened is not None:
            self._opened.close()

    async def first(self) -> HttpResponse:
        """Lead to the first dashboard."""
        return RedirectResponse(f"{PAGES}/{next(iter(DASHBOARDS))}")

    async def asset(self, file: str) -> HttpResponse:
        """Return the style, the script or the icon, which hold nothing that is anybody's."""
        if file not in self._assets:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        kind = _KINDS[f".{file.rpartition('.')[2]}"]
        forever = {"cache-control": "public, max-age=31536000, immutable"}  # the address names the version
        return HttpResponse(self._assets[file], headers=forever, media_type=kind)

    async def show(self, call: TheCall, name: str, window: str = "1h") -> HttpResponse:
        """Return a dashboard: ``overview`` as a page, ``overview.json``, ``overview.md``."""
        name, _, ending = name.partition(".")
        if name not in DASHBOARDS or ending not in self._formats:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        kind, _ = self._formats[ending]
        try:
            await self._check(call)
            if window not in WINDOWS_S:
                raise WrongValue(f"is no window; use one of {', '.join(WINDOWS_S)}", "window")
            body = await self._shelf.get((name, window, ending), partial(self._made, name, window, ending))
        except (GatewayError, ProducerError, StoreError) as error:
            return self._refused(call, error, as_page=not ending)
        return HttpResponse(body, headers={"content-security-policy": _POLICY}, media_type=kind)

    async def _check(self, call: Call) -> None:
        caller = await self._door.admit(shown(call))
        if caller.role == "user":
            raise Forbidden("this takes the role service or admin")

    def _made(self, name: str, window: str, ending: str) -> bytes:
        """Return the dashboard as it is now; called beside the event loop."""
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
        _, draw = self._formats[ending]
        return draw(self._opened.built(name, WINDOWS_S[window])).encode()

    def _refused(self, call: Call, error: Exception, *, as_page: bool) -> HttpResponse:
        """Return *error* as a page that asks for a key where one lacks; raise it for programs."""
        if isinstance(error, StoreError):
            error = Unavailable(_WHAT, str(error))
        if not as_page:
            raise error
        refusal = refusal_of(error)
        call.code = refusal.code
        headers = dict(refusal.headers) | {"content-security-policy": _POLICY}
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = 'Basic realm="ION dashboards", charset="UTF-8"'
        return HttpResponse(self._apology(refusal), refusal.status, headers, "text/html")

    def _apology(self, refusal: Refusal) -> str:
        said = f"{refusal.field} {refusal.message}" if refusal.field else refusal.message
        said = f"{said[:1].upper()}{said[1:]}."
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            said = "Load the page again, and give an API key of the role service or admin as the password."
        again = refusal.status == HTTPStatus.SERVICE_UNAVAILABLE
        return apology(HTTPStatus(refusal.status).phrase, said, self._links, again=again)


def shown(call: Call) -> Call:
    """Return *call* as the door understands it: the password of HTTP Basic is the key or token."""
    scheme, _, given = call.headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return call
    try:
        _, _, password = base64.b64decode(given.strip(), validate=True).partition(b":")
    except binascii.Error:
        password = b""
    return replace(call, headers={**call.headers, b"authorization": b"Bearer " + password})
