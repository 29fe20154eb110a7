"""The OpenAPI 3.1 document: what the framework reads off the routes, and what only we know.

We add credentials, headers, links between operations and examples; ``described`` holds the words, and
``examples.json`` the examples, which `make api-docs` records from a running gateway.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from producers.gateway.description import described
from producers.gateway.description.v1_guide import V1_GUIDE

Json = dict[str, Any]

_EXAMPLES = files("producers.gateway.description") / "examples.json"
_GUIDE = files("producers.gateway.description") / "guide.md"
_PAGES = "[Read how to use it](/redoc), or [try it out](/docs)."
_NOT_OURS = ("HTTPValidationError", "ValidationError")  # the framework's, for errors that leave as ours do
_PUBLIC = ("health",)

TAGS = {
    "process": "Messages in, mentors' prompts out.",
    "jobs": "Jobs that nobody waits for: where they stand, and how they ended.",
    "personas": "The mentors.",
    "cache": "What the answer cache did; voiding what it holds takes the role `admin`.",
    "service": "How the service is.",
    "v1": V1_GUIDE,
}


@cache
def examples() -> dict[str, dict[str, Json]]:
    """Return the examples, by operation and name; each is a request with the response to it.

    *parameters*, *headers* and *request* are what is sent, *status* and *response* what comes back.
    """
    read: dict[str, dict[str, Json]] = json.loads(_EXAMPLES.read_text(encoding="utf-8"))
    return read


def guide() -> str:
    """Return what there is to know before the first request, in Markdown."""
    tables = {"vocabulary": described.vocabulary_table(), "errors": described.error_table()}
    text = _GUIDE.read_text(encoding="utf-8")
    return re.sub(r"{{(\w+)}}", lambda found: tables[found[1]], text)


def api_document(routes: Sequence[BaseRoute], *, anonymous: bool) -> Json:
    """Return the document of *routes*; *anonymous*: credentials are not needed."""
    document = get_openapi(
        title="ION Mentoring",
        version=version("ion-mentoring"),
        summary="A person's message in, the right mentor's prompt out.",
        description=guide().replace("\n\n", f"\n\n{_PAGES}\n\n", 1),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=routes,
        tags=[{"name": name, "description": told} for name, told in TAGS.items()],
    )
    for operation in operations(document):
        _complete(operation, anonymous=anonymous)
    parts = document["components"]
    parts["schemas"] = {name: told for name, told in parts["schemas"].items() if name not in _NOT_OURS}
    parts["parameters"] = described.PARAMETERS
    parts["headers"] = described.HEADERS
    parts["examples"] = described.error_examples()
    parts["securitySchemes"] = described.SECURITY_SCHEMES
    return document


def operations(document: Json) -> Iterator[Json]:
    """Yield what a document says of each operation."""
    for path in document["paths"].values():
        yield from path.values()


def _complete(operation: Json, *, anonymous: bool) -> None:
    """Add to *operation* what the framework cannot know, and take away what it wrongly supposes."""
    name = operation["operationId"]
    if name not in _PUBLIC:
        operation["security"] = [{"ApiKey": []}, {"Bearer": []}, *([{}] if anonymous else [])]
    if operation["description"].startswith(operation["summary"]):  # the framework's, where we say no more
        del operation["description"]
    responses: dict[str, Json] = operation["responses"]
    supposed = responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if supposed.get("$ref", "").endswith(_NOT_OURS):
        del responses["422"]
    always = [*described.ALWAYS, *(described.WHEN_DEPRECATED if operation.get("deprecated") else ())]
    for response in responses.values():
        response["headers"] = {**described.headers(always), **response.get("headers", {})}
    _add_examples(operation, examples().get(name, {}))
    if name == "follow_job":
        responses["200"]["content"]["text/event-stream"] = {"schema": described.EVENT, "example": _events()}
    operation["responses"] = dict(sorted(responses.items()))


def _add_examples(operation: Json, told: dict[str, Json]) -> None:
    for name, one in told.items():
        summary = one["summary"]
        content: Json = operation["responses"][str(one["status"])]["content"]["application/json"]
        content.setdefault("examples", {})[name] = {"summary": summary, "value": one["response"]}
        if "request" in one:
            body: Json = operation["requestBody"]["content"]["application/json"]
            body.setdefault("examples", {})[name] = {"summary": summary, "value": one["request"]}
        for parameter in operation["parameters"]:
            if parameter.get("name") in one.get("parameters", {}):
                parameter.setdefault("example", one["parameters"][parameter["name"]])


def _events() -> str:
    """Return what a listener hears of a job, with the data that the other address tells."""
    job = examples()["get_job"]
    heard = ((1, "pending", job["pending"]), (2, "ended", job["ended"]))
    return "".join(
        f"id: {number}\nevent: {name}\ndata: {json.dumps(one['response'], ensure_ascii=False)}\n\n"
        for number, name, one in heard
    )
