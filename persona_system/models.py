"""The values that the domain passes around: frozen, and free of behaviour.

Units: scores and confidences have no unit and lie in [0, 1]; times are in milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from persona_system.vocabulary import ResonanceKey

Language = Literal["ko", "en"]
Role = Literal["user", "assistant"]
PromptMode = Literal["normal", "compact"]


@dataclass(frozen=True, slots=True)
class Message:
    """One earlier turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Context:
    """What the caller knows about the person and the conversation; all of it is optional.

    *history* is oldest first; *summary* is the conversation's running summary; *mode* chooses the full
    prompt or the compact one.
    """

    user_id: str | None = None
    session_id: str | None = None
    preferred_persona: str | None = None
    history: tuple[Message, ...] = ()
    summary: str | None = None
    mode: PromptMode = "normal"


NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a text sounds like, with how sure the analyser is of each axis."""

    key: ResonanceKey
    language: Language
    tone_confidence: float
    tone_runner_up: str
    pace_confidence: float
    intent_confidence: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Who answers a resonance key, and why."""

    primary: str
    secondary: str
    confidence: float  # 0.3 x lead over the runner-up + 0.7 x top score
    scores: Mapping[str, float]  # persona -> score, in the matrix's order
    reasoning: str


@dataclass(frozen=True, slots=True)
class Persona:
    """A mentor, as the catalogue describes it."""

    name: str
    korean_name: str
    role: str
    traits: tuple[str, ...]
    strengths: tuple[str, ...]
    prompt_style: str
    preferred_tones: tuple[str, ...]
    best_for_tones: tuple[str, ...]  # affinity of at least 0.8, as for the next two
    best_for_paces: tuple[str, ...]
    best_for_intents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Response:
    """A message's answer: the prompt for the mentor who takes it.

    *content* is the prompt; *template* names the template and its version, e.g. ``lua.ko@1``;
    *analysis* is there only when the key was derived from the text; *metadata* is the caller's own,
    handed back as it came.
    """

    content: str
    persona_used: str
    resonance_key: ResonanceKey
    language: Language
    template: str
    routing: Decision
    analysis: Analysis | None
    execution_time_ms: float
    metadata: dict[str, Any] | None = None

    @property
    def confidence(self) -> float:
        """How sure the router is of the persona, in [0, 1]."""
        return self.routing.confidence


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which mentor suits a scenario, before anything is asked of them."""

    recommended_persona: str
    scores: Mapping[str, float]
    capabilities: Persona
    resonance_key: ResonanceKey
    analysis: Analysis | None
