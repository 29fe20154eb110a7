"""What travels over HTTP: requests as pydantic models, responses as typed dictionaries.

Requests are checked when they come; responses are checked by mypy where they are built, and described by the
same types in the OpenAPI document.  Confidences and scores have no unit and lie in [0, 1]; times are in
milliseconds; timestamps are ISO 8601 in UTC.
Source:  facts of the system, section 7.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from typing_extensions import TypedDict

from persona_system.context import MAX_HISTORY_MESSAGES, MAX_ID_CHARS
from persona_system.models import Context, Message
from persona_system.text import MAX_TEXT_CHARS
from persona_system.vocabulary import ResonanceKey, make_key
from producers.gateway.description.fields import (
    BLANK_OR_MESSAGE_PATTERN,
    ENGLISH,
    KOREAN,
    IntentName,
    IntentSpelling,
    JsonValue,
    PaceName,
    PersonaName,
    RequestId,
    Score,
    Timestamp,
    ToneName,
    message_field,
    text_schema,
)

MAX_BULK = 100  # requests in one call

_ONE_OR_REFUSED: dict[str, Any] = {
    "items": {
        "anyOf": [
            {"$ref": "#/components/schemas/ProcessRequest"},
            {"description": "anything else is refused by itself, in its place"},
        ]
    },
    "minItems": 1,
    "maxItems": MAX_BULK,
}


class Strict(BaseModel):
    """A part of a request: values of the right type only, and no field that is not known."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class ResonanceKeyIn(Strict):
    """What a message sounds like; left out, it is derived from the text."""

    tone: ToneName
    pace: PaceName
    intent: IntentSpelling

    def to_domain(self) -> ResonanceKey:
        """Return the key; raise UnknownResonance."""
        return make_key(self.tone, self.pace, self.intent)


class MessageIn(Strict):
    """One earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str = Field(
        max_length=MAX_TEXT_CHARS,
        json_schema_extra={"pattern": BLANK_OR_MESSAGE_PATTERN},
        examples=["어제는 됐는데 오늘은 안 돼요."],
    )


Identifier = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS, json_schema_extra=text_schema(MAX_ID_CHARS))
]


class ContextIn(Strict):
    """What the caller knows about the person and the conversation; all of it is optional."""

    user_id: Identifier | None = Field(default=None, examples=["u-17"])
    session_id: Identifier | None = Field(default=None, examples=["s-1"])
    message_history: list[MessageIn] = Field(
        default=[], max_length=MAX_HISTORY_MESSAGES, description="oldest first"
    )

    def to_domain(self) -> Context:
        """Return the context."""
        history = tuple(Message(turn.role, turn.content) for turn in self.message_history)
        return Context(user_id=self.user_id, session_id=self.session_id, history=history)


class ProcessRequest(Strict):
    """One message to answer."""

    user_input: str = message_field("what the person writes", KOREAN, ENGLISH)
    resonance_key: ResonanceKeyIn | None = None
    context: ContextIn | None = None
    metadata: dict[str, Annotated[JsonValue, SkipValidation()]] | None = Field(
        default=None,
        description="handed back as it came, if include_metadata is set; 32 levels deep at most, "
        "whole numbers of 64 bits at most",
        examples=[{"ticket": 4711}],
    )
    include_metadata: bool = Field(default=False, description="add `metadata` to the response")
    use_cache: bool = Field(default=True, description="whether a cached answer will do")


class RecommendRequest(Strict):
    """A situation for which a mentor is sought."""

    scenario: str = message_field(
        "the situation",
        "팀원들과 함께 이번 분기 계획을 세워야 해요.",
        "I have to plan a migration with my team.",
    )


class BulkRequest(Strict):
    """Several messages at once; each is answered or refused by itself."""

    requests: list[Any] = Field(
        description=f"1 to {MAX_BULK} requests as for `/api/v2/process`", json_schema_extra=_ONE_OR_REFUSED
    )
    parallel: bool = Field(default=True, description="all at once; false: one after the other, in order")


class ProcessV1Request(BaseModel):
    """One message to answer, as version 1 has it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    user_input: Annotated[str, message_field("what the person writes", KOREAN, ENGLISH), Field(strict=True)]
    resonance_key: Any = Field(
        default=None,
        description="tone-pace-intent; anything unknown counts as calm-medium-learning",
        examples=["frustrated-medium-seek_advice"],
    )


class KeyOut(TypedDict):
    """A resonance key."""

    tone: ToneName
    pace: PaceName
    intent: IntentName


class RoutingOut(TypedDict):
    """Why this persona."""

    primary_persona: PersonaName
    secondary_persona: Annotated[PersonaName, Field(description="the runner-up")]
    confidence: Annotated[Score, Field(description="0.3 x lead over the runner-up + 0.7 x top score")]
    scores: Annotated[dict[PersonaName, Score], Field(description="of each mentor")]
    reasoning: Annotated[str, Field(description="the decision in a sentence, in English")]


class PerformanceOut(TypedDict):
    """What it took: time in this service, and whether the answer came from the cache."""

    execution_time_ms: float
    cache_hit: bool
    cache_key: Annotated[str, Field(description="the same for requests that share an answer")]


class AnswerOut(TypedDict):
    """The prompt for the mentor who takes a message, and why that one."""

    content: Annotated[str, Field(description="the prompt")]
    persona_used: PersonaName
    confidence: Score
    resonance_key: KeyOut
    routing: RoutingOut


class AnalysisOut(TypedDict):
    """How sure the analysis of the text is; there is none if the caller gave the key."""

    tone_confidence: Score
    tone_runner_up: ToneName
    pace_confidence: Score
    intent_confidence: Score


class MetadataOut(TypedDict):
    """What else there is to know of an answer."""

    user_provided_metadata: dict[str, Any] | None
    language: Literal["ko", "en"]
    template: Annotated[str, Field(examples=["lua.ko@1"])]
    analysis: AnalysisOut | None


class ProcessResponse(AnswerOut):
    """The answer to one message."""

    success: Literal[True]
    performance: PerformanceOut
    timestamp: Timestamp
    request_id: RequestId
    metadata: NotRequired[MetadataOut]


class JobResult(AnswerOut):
    """The answer to a job."""

    metadata: MetadataOut


class CapabilitiesOut(TypedDict):
    """What a mentor is good at."""

    name: PersonaName
    traits: list[str]
    strengths: list[str]
    best_for_tones: list[ToneName]
    best_for_paces: list[PaceName]
    best_for_intents: list[IntentName]


class RecommendResponse(TypedDict):
    """The mentor who suits a situation."""

    success: Literal[True]
    recommended_persona: PersonaName
    scores: dict[PersonaName, Score]
    capabilities: CapabilitiesOut
    timestamp: Timestamp
    request_id: RequestId


class ErrorOut(TypedDict):
    """What went wrong: a stable code, words for people, and the field that they are about."""

    code: str
    message: str
    field: str | None


class ErrorResponse(TypedDict):
    """The body of every refusal."""

    success: Literal[False]
    error: ErrorOut
    request_id: RequestId
    timestamp: Timestamp


class BulkResponse(TypedDict):
    """How each request ended, in their order; *success*: all of them succeeded."""

    success: bool
    total: int
    successful: int
    failed: int
    results: list[ProcessResponse | ErrorResponse]
    timestamp: Timestamp
    request_id: RequestId


class ProcessV1Response(TypedDict):
    """The prompt for the mentor who takes the message, as version 1 has it."""

    content: str
    persona_used: PersonaName
    confidence: Score


class PersonaOut(TypedDict):
    """A mentor."""

    name: PersonaName
    korean_name: str
    role: str
    traits: list[str]
    strengths: list[str]
    prompt_style: str
    preferred_tones: list[ToneName]
    best_for_tones: list[ToneName]
    best_for_paces: list[PaceName]
    best_for_intents: list[IntentName]


class PersonasResponse(TypedDict):
    """All mentors."""

    success: Literal[True]
    total: int
    personas: list[PersonaOut]
    timestamp: Timestamp
    request_id: RequestId


class PersonaResponse(TypedDict):
    """One mentor."""

    success: Literal[True]
    persona: PersonaOut
    timestamp: Timestamp
    request_id: RequestId


JobStatus = Literal["pending", "ok", "rejected", "failed", "expired", "dead"]


class JobResponse(TypedDict):
    """Where a job stands; *result* when its status is ok, *error* when it ended otherwise."""

    success: Annotated[bool, Field(description="false once the job has ended in an error")]
    job_id: str
    status: JobStatus
    result: JobResult | None
    error: ErrorOut | None
    timestamp: Timestamp
    request_id: RequestId
