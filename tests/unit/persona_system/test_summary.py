"""The running summary: what a turn leaves behind, and what it never grows into."""

from hypothesis import given
from hypothesis import strategies as st

from persona_system.context import check_context
from persona_system.models import Context
from persona_system.summary import MAX_CHARS, MAX_SIDE_CHARS, update_summary

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)


def test_a_turn_is_the_question_with_what_leads_to_it_and_the_beginning_of_the_reply() -> None:
    summary = update_summary(
        None,
        "안녕하세요. 배포가 또 실패했어요. 어떻게 해야 하죠? 부탁드려요.",
        "많이 답답하셨겠어요. 로그부터 볼까요?",
    )
    assert summary == "배포가 또 실패했어요. 어떻게 해야 하죠? → 많이 답답하셨겠어요."


def test_without_a_question_the_longest_of_the_first_sentences_is_kept() -> None:
    assert update_summary(None, "Hi. I moved to Python 3.11 yesterday. Fine.", "Good.") == (
        "I moved to Python 3.11 yesterday. → Good."
    )


def test_turns_follow_each_other() -> None:
    first = update_summary(None, "One?", "Yes.")
    assert update_summary(first, "Two?", "No.") == "One? → Yes. ● Two? → No."


def test_the_first_and_the_last_turns_outlive_the_middle() -> None:
    summary = ""
    for turn in range(50):
        summary = update_summary(summary, f"Question number {turn}?", f"Answer number {turn}.")
    assert summary.startswith("Question number 0? → Answer number 0. ● … ● Question number")
    assert summary.endswith("Question number 49? → Answer number 49.")
    assert summary.count("…") == 1
    assert MAX_CHARS - 50 < len(summary) <= MAX_CHARS


def test_a_long_sentence_is_cut() -> None:
    summary = update_summary(None, "a" * 500, "")
    assert summary == "a" * (MAX_SIDE_CHARS - 1) + "…"


def test_a_turn_that_says_nothing_leaves_nothing() -> None:
    assert update_summary(None, "", "") == ""
    assert update_summary("One? → Yes.", "...", " \n") == "One? → Yes."


def test_our_own_separators_cannot_be_forged() -> None:
    assert update_summary(None, "One ● Two → Three", "") == "One Two - Three"


@given(st.none() | ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_turn_gives_a_bounded_summary_in_one_line(old: str | None, said: str, reply: str) -> None:
    summary = update_summary(update_summary(old, said, reply), reply, said)
    assert len(summary) <= MAX_CHARS
    assert summary == update_summary(update_summary(old, said, reply), reply, said)


@given(ANY_TEXT, ANY_TEXT)
def test_a_summary_of_ours_can_always_be_sent_back(said: str, reply: str) -> None:
    summary = update_summary(None, said, reply)
    assert len(summary.splitlines()) <= 1
    check_context(Context(summary=summary))
