"""Pace, from how a message is written."""

from datetime import timedelta

import pytest

from persona_system.analysis.rhythm import Rhythm, decide_pace, measure
from persona_system.language import detect_language
from persona_system.vocabulary import PACES

LONG_ENGLISH = (
    "I started the move yesterday and then saw that the old service still writes to the same table "
    "so I paused it and moved the writers over one by one until nothing was left"
)
LONG_KOREAN = (
    "어제 이전을 시작했는데 예전 서비스가 아직 같은 테이블에 쓰고 있어서 잠시 멈추고 하나씩 옮기다 보니 "
    "생각보다 시간이 오래 걸렸지만 결국 모두 옮길 수 있었습니다"
)
STORIES = {
    "burst": [
        "It broke again!",
        "Help! Now! Server down!",
        "ok got it",
        "안 돼요!",
        "또 터졌어요! 어떡해요! 도와주세요!",
        "네 알겠습니다",
    ],
    "flowing": [LONG_ENGLISH, LONG_KOREAN],
    "contemplative": [
        "I keep thinking about it... maybe this is not the job for me...",
        "Some days are fine.\n\nSome days I wonder why I started.\n\nMaybe both are true.",
        "요즘 생각이 많아요... 이 길이 맞는 걸까요...",
        "괜찮은 날도 있어요.\n\n왜 시작했는지 모르겠는 날도 있고요.\n\n둘 다 진심이에요.",
    ],
    "medium": [
        "The deployment failed after the last change. What should I check first?",
        "How do I write a good test for this function?",
        "배포가 또 실패했어요. 어떻게 해야 하죠?",
        "이 함수가 어떻게 동작하는지 궁금해요.",
    ],
}


@pytest.mark.parametrize(("pace", "text"), [(pace, text) for pace in STORIES for text in STORIES[pace]])
def test_each_pace_is_heard_in_both_languages(pace: str, text: str) -> None:
    heard, confidence = decide_pace(measure(text, detect_language(text)))

    assert heard == pace
    assert 0 <= confidence <= 1


def test_what_is_measured() -> None:
    """Six words in two sentences, three marks; one of the sentences asks, none exclaims or pauses."""
    assert measure("It failed, again. What now then?", "en") == Rhythm(6, 2, 0.5, 0.5, 0.0, 0.0)


def test_a_korean_word_counts_as_more_than_an_english_one() -> None:
    assert measure("또 실패했어요", "ko").words == pytest.approx(2.8)


@pytest.mark.parametrize("text", ["...", "?!?!", "\n\n\n", "😀", ".", "   "])
def test_text_without_words_has_a_rhythm_too(text: str) -> None:
    rhythm = measure(text, "en")

    assert rhythm.sentences >= 1
    assert decide_pace(rhythm)[0] in PACES


def test_a_quick_reply_is_sooner_a_burst_and_a_slow_one_later() -> None:
    """Six words are just over the limit of five, four just under it."""
    six, four = measure("we could try it that way", "en"), measure("we could try it", "en")

    assert decide_pace(six)[0] == "medium"
    assert decide_pace(six, timedelta(seconds=2))[0] == "burst"
    assert decide_pace(four, timedelta(seconds=10))[0] == "burst"
    assert decide_pace(four, timedelta(seconds=60))[0] == "medium"
