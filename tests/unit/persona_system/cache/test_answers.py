"""What an answer depends on: requests that share an id share an answer, and no two people's ever mix."""

import hashlib
from dataclasses import replace

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from persona_system.cache.answers import owner_tag, process_request, recommend_request
from persona_system.models import NO_CONTEXT, Context, Message
from persona_system.pipeline import ANSWERS, load_pipeline
from persona_system.prompts.builder import used_context
from persona_system.vocabulary import ALL_KEYS

PIPELINE = load_pipeline()
KEY = "calm-medium-learning"

words = st.text(st.characters(categories=["L", "N", "Po"]), min_size=1, max_size=12)
maybe = st.none() | words
messages = st.lists(
    st.builds(Message, role=st.sampled_from(["user", "assistant"]), content=words), max_size=5
).map(tuple)
contexts = st.builds(
    Context,
    user_id=maybe,
    session_id=maybe,
    preferred_persona=st.none() | st.sampled_from(["Lua", "Elro"]),
    history=messages,
    summary=maybe,
    mode=st.sampled_from(["normal", "compact"]),
)
requests = st.tuples(words, st.none() | st.sampled_from([str(key) for key in ALL_KEYS[:5]]), contexts)


@given(words, st.sampled_from(ALL_KEYS), contexts, contexts)
def test_contexts_that_agree_in_what_is_used_give_one_prompt(
    text: str, key: object, one: Context, other: Context
) -> None:
    same = replace(  # agrees with *one* in everything that its mode uses, and takes the rest from *other*
        other,
        mode=one.mode,
        user_id=one.user_id if one.mode == "normal" or one.history or one.summary else other.user_id,
        session_id=one.session_id if one.mode == "normal" or one.history or one.summary else other.session_id,
        preferred_persona=one.preferred_persona if one.mode == "normal" else other.preferred_persona,
        summary=one.summary if one.mode == "compact" else other.summary,
        history=one.history[-3:] if one.mode == "normal" else one.history[-2:],
    )
    assert used_context(same) == used_context(one)
    assert PIPELINE.process(text, str(key), same).content == PIPELINE.process(text, str(key), one).content


@given(requests, requests)
def test_requests_that_share_an_id_share_their_answer(
    one: tuple[str, str | None, Context], other: tuple[str, str | None, Context]
) -> None:
    """The digest is no less fine than the prompt: another prompt, persona or key has another id."""
    answers = [PIPELINE.process(text, key, context) for text, key, context in (one, other)]
    if process_request(*one) == process_request(*other):
        assert answers[0].content == answers[1].content
        assert answers[0].resonance_key == answers[1].resonance_key
    if answers[0].content != answers[1].content:
        assert process_request(*one) != process_request(*other)


@given(words, st.sampled_from(["normal", "compact"]), messages, words, words)
def test_two_people_with_one_text_never_share_what_was_made_of_their_contexts(
    text: str, mode: str, history: tuple[Message, ...], alice: str, bob: str
) -> None:
    assume(alice != bob)
    context = msgspec.convert({"mode": mode, "user_id": alice}, Context)
    context = replace(context, history=history, summary="they met")
    other = replace(context, user_id=bob)

    assert process_request(text, KEY, context) != process_request(text, KEY, other)
    assert owner_tag(context) == f"user:{alice}"


def test_fields_do_not_run_into_each_other() -> None:
    ids = {
        process_request("ab", None, None),
        process_request("a", None, Context(user_id="b")),
        process_request("a", None, Context(session_id="b")),
        process_request("a", None, Context(preferred_persona="b")),
        process_request("a", None, Context(history=(Message("user", "b"),))),
        process_request("a", None, Context(history=(Message("assistant", "b"),))),
        process_request("a", None, Context(mode="compact", summary="b")),
        process_request("a", None, Context(mode="compact")),
        process_request("a", None, None),
        process_request("a", "b", None),
        recommend_request("a", None, None),
        recommend_request("a", "b", None),
    }
    assert len(ids) == 12


def test_no_context_and_an_empty_one_are_the_same() -> None:
    assert process_request("a", KEY, None) == process_request("a", KEY, NO_CONTEXT)
    assert process_request("a", KEY, None) == process_request("a", KEY, Context())


@pytest.mark.parametrize(
    ("context", "tag"),
    [
        (None, None),
        (Context(), None),
        (Context(user_id="u1", session_id="s1"), "user:u1"),
        (Context(session_id="s1"), "session:s1"),
        (Context(mode="compact", user_id="u1"), None),  # a compact prompt names nobody
        (Context(mode="compact", user_id="u1", summary="they met"), "user:u1"),
    ],
)
def test_an_answer_belongs_to_whoever_it_was_made_for(context: Context | None, tag: str | None) -> None:
    assert owner_tag(context) == tag


def test_other_answers_come_with_another_version() -> None:
    """Caches go by ``pipeline.version``: whoever changes what code answers raises ANSWERS, and then this."""
    context = Context(user_id="u1", preferred_persona="Lua", history=(Message("user", "hi"),), summary="met")
    digest = hashlib.blake2b(digest_size=8)
    for number, key in enumerate(ALL_KEYS):
        text = ("배포가 또 실패했어요 >>>", "How do I split\nthis module?", "hmm!!")[number % 3]
        for given_key, used in (
            (str(key), None),
            (str(key), context),
            (None, replace(context, mode="compact")),
        ):
            answer = PIPELINE.process(text, given_key, used)
            digest.update(f"{answer.content}|{answer.resonance_key}|{answer.routing.reasoning}".encode())

    # the same three versions with another digest: raise ANSWERS
    assert (ANSWERS, PIPELINE.catalogue.version, PIPELINE.analyser.version, digest.hexdigest()) == (
        1,
        "249e8016afb5",
        "rules@1-76efe658",
        "dede3ec18996543c",
    )
