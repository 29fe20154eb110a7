"""The API's documentation for people, at /docs and /redoc, and for programs, at /openapi.json.

The pages need nothing from other servers, and may not ask them: their scripts and styles are those of the
package fastapi-offline, served from here.
"""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

DOCUMENT, ASSETS = "/openapi.json", "/docs/assets"

_TITLE = "ION Mentoring"
_SHORT = b"<style>.info .description .renderedMarkdown > :nth-child(n+3) { display: none }</style>"
"""The page to try things out shows two paragraphs of the guide, which the page to read shows as chapters."""

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def page_routes(describe: Callable[[], dict[str, Any]]) -> list[BaseRoute]:
    """Return the routes of the pages; *describe* returns the OpenAPI document, and is asked once."""
    document = _Document(describe)
    swagger = get_swagger_ui_html(
        openapi_url=DOCUMENT,
        title=_TITLE,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
        swagger_ui_parameters={"displayRequestDuration": True, "defaultModelsExpandDepth": 0},
    )
    redoc = get_redoc_html(
        openapi_url=DOCUMENT,
        title=_TITLE,
        redoc_js_url=f"{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    return [
        Route(DOCUMENT, document),
        Mount(ASSETS, _Assets(directory=Path(str(files("fastapi_offline") / "static")))),
        Route("/docs", _page(bytes(swagger.body).replace(b"</head>", _SHORT + b"</head>"))),
        Route("/redoc", _page(bytes(redoc.body))),
    ]


class _Document:
    """Answers with the document: made when it is first asked for, in a thread, since it takes a while."""

    def __init__(self, describe: Callable[[], dict[str, Any]]) -> None:
        self._describe = describe
        self._making: asyncio.Future[tuple[bytes, str]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; 304 to one who has it already."""
        if self._making is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        body, tag = await asyncio.shield(self._making)
        headers = {"etag": tag, "cache-control": "no-cache"}  # ask each time whether it has changed
        known = Request(scope).headers.get("if-none-match", "")
        if tag in known:
            await Response(status_code=304, headers=headers)(scope, receive, send)
        else:
            await Response(body, headers=headers, media_type="application/json")(scope, receive, send)

    def _make(self) -> tuple[bytes, str]:
        body = json.dumps(self._describe(), ensure_ascii=False, separators=(",", ":")).encode()
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


class _Assets(StaticFiles):
    """Scripts and styles, which browsers may keep for a while."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "public, max-age=3600"
        return response


def _page(html: bytes) -> Callable[[Request], Response]:
    headers = {"content-security-policy": _policy(html.decode()), "cache-control": "no-cache"}

    def answer(_: Request) -> Response:
        return Response(html, headers=headers, media_type="text/html")

    return answer


def _policy(html: str) -> str:
    """Return what *html* may load: from here only, and of the scripts in it, those that are in it now.

    Both pages make their styles as they go, and ReDoc searches in a worker that it makes itself.
    """
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in _INLINE_SCRIPT.findall(html)
    ]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
