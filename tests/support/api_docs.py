"""Writes docs/api.md, and records its examples from a real gateway: ``python -m tests.support.api_docs``."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx

from producers.gateway.description.described import REQUEST_ID, TIMESTAMP
from producers.gateway.description.reference import reference
from tests.support.gateway import gateway
from tests.support.stack import start_stack
from tests.support.wait import wait_until

Examples = dict[str, dict[str, dict[str, Any]]]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
PROGRAMS = ROOT / "docs" / "examples"
EXAMPLES = ROOT / "producers" / "gateway" / "description" / "examples.json"

BY_HAND = frozenset({"cache_stats", "clear_cache", "invalidate_cache", "health", "status"})
"""Operations that tell of a state that no test can have at will: the examples are written, not recorded."""

JOB_ID = "5d41402abc4b2a76b9719d911017c592c81e728d9d4c2f636f067f89cc14862c"
_ALWAYS_SO = {"timestamp": TIMESTAMP, "job_id": JOB_ID, "execution_time_ms": 1.3, "cache_hit": False}


def record(examples: Examples, document: dict[str, Any], client: httpx.Client) -> Examples:
    """Return *examples* with the responses that the gateway of *client* really gives to their requests.

    What differs from time to time is as in the document; the request id is sent.
    """
    recorded = copy.deepcopy(examples)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for one in recorded.get(operation["operationId"], {}).values():
                if operation["operationId"] in BY_HAND:
                    continue
                if path.startswith("/api/v2/jobs/"):
                    if one["response"]["status"] == "ok":
                        one["response"] = _steady(_ended_job(one, client))
                    continue  # nor can a job be made to be pending, or to have expired
                address = path.format(**one.get("parameters", {}))
                response = client.request(
                    method,
                    address,
                    json=one.get("request"),
                    headers={**one.get("headers", {}), "X-Request-ID": REQUEST_ID},
                )
                assert response.status_code == one["status"], response.text
                one["response"] = _steady(response.json())
    return recorded


def page(document: dict[str, Any]) -> str:
    """Return docs/api.md as it has to be."""
    programs = {file.name: file.read_text("utf-8") for file in sorted(PROGRAMS.glob("[0-9]-*"))}
    return reference(document, programs)


def as_text(examples: Examples) -> str:
    """Return *examples* as they are kept."""
    return json.dumps(examples, ensure_ascii=False, indent=1) + "\n"


def _ended_job(example: dict[str, Any], client: httpx.Client) -> Any:
    body = {"user_input": "배포가 또 실패했어요. 어떻게 해야 하죠?"}
    location = client.post("/api/v2/process", json=body, headers={"Prefer": "respond-async"}).headers[
        "location"
    ]

    def told() -> Any:
        return client.get(location, headers={"X-Request-ID": REQUEST_ID}).json()

    wait_until(lambda: told()["status"] == example["response"]["status"], what="the job ends")
    return told()


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ALWAYS_SO.get(name, _steady(each)) for name, each in value.items()}
    return [_steady(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    """Record the examples, then write the page with them."""
    with tempfile.TemporaryDirectory(prefix="ion-api-docs-") as directory:
        stack = start_stack(Path(directory))
        try:
            environment = {**stack.urls.environment(), "ION_STATE_DIR": str(stack.settings.state_dir)}
            with gateway(environment, Path(directory)) as running, running.client() as client:
                document = client.get("/openapi.json").json()
                recorded = record(json.loads(EXAMPLES.read_text("utf-8")), document, client)
            EXAMPLES.write_text(as_text(recorded), "utf-8")
            with gateway(environment, Path(directory)) as running, running.client() as client:
                PAGE.write_text(page(client.get("/openapi.json").json()), "utf-8")
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
