"""What the pipeline needs from others, as protocols; each has a Null for use without the real thing."""

from typing import Protocol

from persona_system.models import Analysis
from persona_system.vocabulary import ResonanceKey


class TextAnalyser(Protocol):
    """Derives a resonance key from a message.  Deterministic: the same text gives the same analysis."""

    @property
    def version(self) -> str:
        """Names the rules or the model, for cache keys and logs."""

    def analyse(self, text: str) -> Analysis:
        """Return what *text* sounds like; any checked text has an answer."""


class NullAnalyser:
    """Hears the same calm question in every text, and is sure of nothing."""

    version = "null@1"

    def analyse(self, text: str) -> Analysis:  # noqa: ARG002 - the protocol's signature
        """Return calm-medium-learning with no confidence at all."""
        return Analysis(ResonanceKey("calm", "medium", "learning"), "en", 0.0, "curious", 0.0, 0.0)
