"""From a message to a response: the whole path, with the shipped catalogue and a Null analyser."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.catalogue import load_catalogue
from persona_system.errors import InvalidInput, MalformedKey, UnknownResonance
from persona_system.models import NO_CONTEXT, Analysis, Context, Language, Message
from persona_system.pipeline import PersonaPipeline, load_pipeline
from persona_system.ports import NullAnalyser
from persona_system.vocabulary import ALL_KEYS, ResonanceKey

CATALOGUE = load_catalogue()
PIPELINE = PersonaPipeline(CATALOGUE, NullAnalyser())


class Hearing:
    """An analyser that hears one thing in every text, and counts how often it was asked."""

    version = "hearing@1"

    def __init__(self, key: ResonanceKey, language: Language) -> None:
        self.analysis = Analysis(key, language, 0.9, "calm", 0.8, 0.7)
        self.asked = 0

    def analyse(self, text: str) -> Analysis:  # noqa: ARG002 - the protocol's signature
        self.asked += 1
        return self.analysis


def test_a_message_with_a_key_becomes_the_prompt_of_its_persona() -> None:
    response = PIPELINE.process("The deploy failed again!", "frustrated-burst-problem-solving")

    assert response.persona_used == response.routing.primary == "Lua"
    assert response.resonance_key == ResonanceKey("frustrated", "burst", "problem_solving")
    assert (response.language, response.template) == ("en", "lua.en@1")
    assert response.confidence == response.routing.confidence == pytest.approx(0.751)
    assert "The deploy failed again!" in response.content
    assert response.content.startswith("You are Lua")
    assert response.analysis is None
    assert response.metadata is None


def test_the_prompt_follows_the_language_of_the_text() -> None:
    response = PIPELINE.process("배포가 또 실패했어요. 어떻게 해야 하죠?", "anxious-burst-seek_advice")
    assert (response.language, response.template) == ("ko", "lua.ko@1")
    assert response.content.startswith("당신은 ION 멘토링의 멘토 루아입니다.")


def test_without_a_key_the_text_is_analysed_once_for_key_and_language() -> None:
    analyser = Hearing(ResonanceKey("urgent", "burst", "planning"), "ko")
    response = PersonaPipeline(CATALOGUE, analyser).process("anything")
    assert analyser.asked == 1
    assert response.analysis is analyser.analysis
    assert (response.persona_used, response.template) == ("Nana", "nana.ko@1")
    assert response.resonance_key == analyser.analysis.key


def test_with_a_key_nothing_is_analysed() -> None:
    analyser = Hearing(ResonanceKey("urgent", "burst", "planning"), "ko")
    PersonaPipeline(CATALOGUE, analyser).process("anything", "calm-medium-learning")
    assert analyser.asked == 0


def test_a_key_may_be_an_object_and_may_use_an_alias() -> None:
    response = PIPELINE.process("hello", ResonanceKey("calm", "medium", "plan"))
    assert response.resonance_key == ResonanceKey("calm", "medium", "planning")


def test_the_time_is_told_in_milliseconds() -> None:
    ticks = iter([10.0, 10.25])
    pipeline = PersonaPipeline(CATALOGUE, NullAnalyser(), timer=lambda: next(ticks))
    assert pipeline.process("hello").execution_time_ms == 250.0


def test_metadata_comes_back_as_it_went() -> None:
    metadata: dict[str, Any] = {"trace": {"id": 7}}
    assert PIPELINE.process("hello", metadata=metadata).metadata is metadata


@given(st.text(min_size=1), st.sampled_from(ALL_KEYS))
def test_any_message_is_answered_verbatim_or_refused_with_its_field(text: str, key: ResonanceKey) -> None:
    try:
        response = PIPELINE.process(text, key)
    except InvalidInput as error:
        refused: InvalidInput | None = error
    else:
        refused = None
        assert f"\n{text}\n" in response.content
        assert response.persona_used == CATALOGUE.router.route(key).primary
    assert refused is None or refused.field == "user_input"


def test_the_same_message_gives_the_same_prompt() -> None:
    first, second = (PIPELINE.process("hello", "calm-medium-learning") for _ in range(2))
    assert first.content == second.content


@pytest.mark.parametrize("text", ["", "  \n", "\u200b", "a\x00b", "\ud800", "a" * 32_769, None, 7, b"bytes"])
def test_a_message_that_cannot_be_read_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        PIPELINE.process(text, "calm-medium-learning")  # type: ignore[arg-type]
    assert caught.value.field == "user_input"


def test_the_limit_of_a_message_is_a_setting() -> None:
    pipeline = PersonaPipeline(CATALOGUE, NullAnalyser(), max_text_chars=5)
    pipeline.process("12345")
    with pytest.raises(InvalidInput, match="over the limit of 5"):
        pipeline.process("123456")
    with pytest.raises(InvalidInput, match="scenario has 6 characters"):
        pipeline.recommend("123456")


@pytest.mark.parametrize(
    ("key", "error", "field"),
    [
        ("calm", MalformedKey, "resonance_key"),
        ("", MalformedKey, "resonance_key"),
        ("smug-medium-learning", UnknownResonance, "resonance_key.tone"),
        (ResonanceKey("calm", "glacial", "learning"), UnknownResonance, "resonance_key.pace"),
        (ResonanceKey("calm", "medium", ""), UnknownResonance, "resonance_key.intent"),
        ({"tone": "calm"}, MalformedKey, "resonance_key"),
    ],
)
def test_a_wrong_key_is_refused(key: Any, error: type[InvalidInput], field: str) -> None:
    for call in (PIPELINE.process, PIPELINE.recommend):
        with pytest.raises(error) as caught:
            call("hello", key)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("context", "field"),
    [
        (Context(preferred_persona="Sora"), "context.preferred_persona"),
        (Context(preferred_persona=""), "context.preferred_persona"),
        (Context(user_id="u" * 129), "context.user_id"),
        (Context(user_id=""), "context.user_id"),
        (Context(session_id="s\x00"), "context.session_id"),
        (Context(session_id=7), "context.session_id"),  # type: ignore[arg-type]
        (Context(summary="s" * 1_001), "context.summary"),
        (Context(mode="loud"), "context.mode"),  # type: ignore[arg-type]
        (Context(mode=["normal"]), "context.mode"),  # type: ignore[arg-type]
        (Context(history="hello"), "context.history"),  # type: ignore[arg-type]
        (Context(history=({"role": "user", "content": "x"},)), "context.history[0]"),  # type: ignore[arg-type]
        (Context(history=(Message("user", "x"), Message("system", "x"))), "context.history[1].role"),  # type: ignore[arg-type]
        (Context(history=(Message(["user"], "x"),)), "context.history[0].role"),  # type: ignore[arg-type]
        (Context(history=(Message("user", None),)), "context.history[0].content"),  # type: ignore[arg-type]
        (Context(history=(Message("user", "secret\x00"),)), "context.history[0].content"),
        (Context(history=(Message("user", "secret\ud800"),)), "context.history[0].content"),
        (Context(history=(Message("user", " " * 32_769),)), "context.history[0].content"),
        (Context(history=(Message("user", "x"),) * 1_001), "context.history"),
        ({"user_id": "u"}, "context"),
        ("u-1", "context"),
    ],
    ids=range(20),
)
def test_a_wrong_context_is_refused_with_the_field_and_without_a_quote(context: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PIPELINE.process("hello", "calm-medium-learning", context)
    assert caught.value.field == field
    assert type(caught.value) is InvalidInput
    assert "secret" not in str(caught.value)


def test_a_preferred_persona_may_be_any_known_one_in_any_spelling() -> None:
    for name in ("nana", "NANA", "나나", "Nana"):
        response = PIPELINE.process("hello", "calm-medium-learning", Context(preferred_persona=name))
        assert "- Preferred mentor: Nana\n" in response.content
        assert response.persona_used == "Elro"  # a wish is told to the mentor; it does not change the routing


def test_an_empty_reply_or_summary_is_no_fault() -> None:
    history = (Message("assistant", ""), Message("user", " \n"), Message("user", "tab\there"))
    response = PIPELINE.process("hello", "calm-medium-learning", Context(history=history, summary=""))
    assert "- person: tab\there\n" in response.content


def test_compact_mode_reaches_the_builder() -> None:
    response = PIPELINE.process("hello", "calm-medium-learning", Context(mode="compact", summary="so far"))
    assert "Summary of the conversation so far: so far" in response.content
    assert len(response.content) < len(PIPELINE.process("hello", "calm-medium-learning").content) / 2


def test_a_recommendation_describes_the_persona_that_the_router_chose() -> None:
    recommendation = PIPELINE.recommend(
        "We must ship today and nobody knows who does what", "urgent-burst-planning"
    )
    assert recommendation.recommended_persona == recommendation.capabilities.name == "Nana"
    assert list(recommendation.scores) == ["Lua", "Elro", "Riri", "Nana"]
    assert recommendation.analysis is None


def test_a_recommendation_without_a_key_analyses_the_scenario() -> None:
    analyser = Hearing(ResonanceKey("playful", "flowing", "reflection"), "en")
    recommendation = PersonaPipeline(CATALOGUE, analyser).recommend("anything")
    assert recommendation.recommended_persona == "Lua"
    assert recommendation.analysis is analyser.analysis


def test_an_unreadable_scenario_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^scenario is empty"):
        PIPELINE.recommend("")


def test_a_custom_builder_writes_its_personas_prompts() -> None:
    class Terse:
        def template(self, language: Language) -> str:
            return f"terse.{language}@1"

        def build(
            self, text: str, key: ResonanceKey, language: Language, context: Context = NO_CONTEXT
        ) -> str:
            return f"{key} {language} {context.mode}: {text}"

    pipeline = PersonaPipeline(CATALOGUE.with_builder("엘로", Terse()), NullAnalyser())
    response = pipeline.process("hello", "calm-medium-learning")
    assert (response.content, response.template) == ("calm-medium-learning en normal: hello", "terse.en@1")
    assert pipeline.process("hello", "frustrated-burst-learning").template == "lua.en@1"


def test_a_pipeline_is_loaded_in_one_call() -> None:
    pipeline = load_pipeline(NullAnalyser())
    assert pipeline.process("hello").persona_used == "Elro"
    assert pipeline.catalogue.version == CATALOGUE.version
