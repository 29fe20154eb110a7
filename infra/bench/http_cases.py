"""What is asked of the gateway, how often at once, and what each load has to reach.

Texts that never repeat go all the way through the queue; known ones are answered from the cache.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from typing import Any

from infra.bench.http_load import NUMBER, Load
from infra.bench.http_servers import Server
from infra.demo.messages import load_messages
from persona_system.vocabulary import ALL_KEYS

MEMORY_MB = 150.0  # of one process
_KNOWN = 1_000  # texts that are asked again
_BULK = 100  # messages in one bulk request


@dataclass(frozen=True, slots=True)
class Target:
    """What a load has to reach: *ratio* times the bare server's answers a second, *p95_ms* at most."""

    ratio: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One load on the gateway; no *bodies*: it is a GET.  *known*: its caller shows an API key."""

    name: str
    path: str
    connections: int
    target: Target = Target()
    bodies: Callable[[], Sequence[str]] = tuple
    known: bool = True

    def load(self, server: Server, key: str) -> Load:
        """Return what is sent to *server*."""
        headers = (f"X-API-Key: {key}",) if self.known else ()
        return Load(f"{server.url}{self.path}", self.connections, self.bodies(), headers)


def _bodies(*, given_key: bool, again: bool = False) -> list[str]:
    texts = [message.text for message in load_messages()]
    bodies = []
    for text, key in zip(texts[:_KNOWN] if again else texts, cycle(ALL_KEYS), strict=False):
        body: dict[str, Any] = {"user_input": text if again else f"{text} {NUMBER}"}
        if given_key:
            body["resonance_key"] = asdict(key)
        bodies.append(json.dumps(body, ensure_ascii=False))
    return bodies


def _bulk_bodies() -> list[str]:
    bodies = _bodies(given_key=False)
    return [
        f'{{"requests":[{",".join(bodies[start : start + _BULK])}]}}'
        for start in range(0, len(bodies) - _BULK + 1, _BULK)
    ]


NEW_BODIES = partial(_bodies, given_key=True)
_AGAIN = partial(_bodies, given_key=True, again=True)
_PROCESS = "/api/v2/process"
_ANSWERED_HERE = Target(p95_ms=5.0)

# a cache that does not pay gets out of the way, and takes some time to pay again: one phase for each
PHASES: tuple[tuple[Case, ...], ...] = (
    (
        Case("cached", _PROCESS, 100, Target(1.0, 15.0), _AGAIN),
        Case("cached, no API key", _PROCESS, 100, Target(1.0, 15.0), _AGAIN, known=False),
        Case("health", "/api/v2/health", 10, _ANSWERED_HERE),
        Case("personas", "/api/v2/personas", 10, _ANSWERED_HERE),
    ),
    (
        Case("new, key given", _PROCESS, 100, Target(0.5, 40.0), NEW_BODIES),
        Case("new, from the text", _PROCESS, 100, Target(0.5, 40.0), partial(_bodies, given_key=False)),
        Case("new, a lone caller", _PROCESS, 1, Target(), NEW_BODIES),
        Case("bulk of 100, new", "/api/v2/bulk-process", 1, Target(p95_ms=60.0), _bulk_bodies),
    ),
)
