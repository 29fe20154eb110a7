"""What a bulk run needs of an answer: the fields of an output line, and no more is unpacked."""

from typing import Any

import msgspec

from workers.contract.names import BULK
from workers.contract.refs import PROCESS, TaskRef


class _Key(msgspec.Struct, frozen=True, gc=False):
    tone: str
    pace: str
    intent: str


class _Routing(msgspec.Struct, frozen=True, gc=False):
    confidence: float


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A part of ``Response``, under the names that it has there."""

    content: str
    persona_used: str
    resonance_key: _Key
    language: str
    routing: _Routing
    metadata: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """The canonical resonance key."""
        key = self.resonance_key
        return f"{key.tone}-{key.pace}-{key.intent}"


BULK_PROCESS = TaskRef(PROCESS.name, BULK, Answer)
