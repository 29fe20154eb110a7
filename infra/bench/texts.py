"""What the benchmark submits: the demo's real messages, each with a resonance key."""

from collections.abc import Sequence
from itertools import cycle

from infra.demo.messages import load_messages
from persona_system.vocabulary import ALL_KEYS
from producers import PersonaRequest


def keyed_requests() -> Sequence[PersonaRequest]:
    """Return every demo message with a key given, the 216 keys in turn."""
    return [
        PersonaRequest(m.text, str(key)) for m, key in zip(load_messages(), cycle(ALL_KEYS), strict=False)
    ]
