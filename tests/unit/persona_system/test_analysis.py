"""The shipped analyser on natural sentences, and on any text at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.analysis import load_analyser
from persona_system.analysis.lexicon import CLASSES
from persona_system.analysis.rules import UNSURE
from persona_system.errors import InvalidInput
from persona_system.models import Analysis
from persona_system.ports import TextAnalyser
from persona_system.text import MAX_TEXT_CHARS, check_text
from persona_system.vocabulary import INTENTS, PACES, TONES

ANALYSER, AGAIN = load_analyser(), load_analyser()

TONE_STORIES = {
    "frustrated": [
        "The deploy failed again and I'm sick of this stupid pipeline.",
        "I hate how this meeting always wastes my whole morning.",
        "배포가 또 실패했어요. 정말 짜증나요.",
        "몇 시간째 같은 오류라서 너무 답답해요.",
    ],
    "playful": [
        "Haha, my code finally works and I'm so happy, let's celebrate!",
        "lol our demo was hilarious 😂",
        "ㅋㅋㅋ 드디어 성공했어요! 너무 신나요!",
        "오늘 발표 재밌었어요 ㅎㅎ 다들 빵 터졌어요",
    ],
    "anxious": [
        "I'm nervous about my performance review tomorrow.",
        "I'm scared that I might lose my job if this fails.",
        "내일 발표가 너무 걱정돼요.",
        "실수할까봐 불안해서 잠이 안 와요.",
    ],
    "analytical": [
        "Let's compare the latency metrics of both versions and find the root cause.",
        "The data shows a strong correlation between churn and response time.",
        "지난달 전환율 데이터를 분석해서 원인을 찾고 있어요.",
        "두 방식의 처리량과 지연 시간을 비교해 보면 차이가 커요.",
    ],
    "calm": [
        "I finished the report and sent it to the client.",
        "There is no rush, take your time.",
        "오늘은 문서를 정리했어요.",
        "급하지 않으니 천천히 봐 주세요.",
    ],
    "curious": [
        "I'm curious how the scheduler picks the next task.",
        "I wonder what makes this library so fast?",
        "이 함수가 어떻게 동작하는지 궁금해요.",
        "파이썬은 왜 이렇게 인기가 많나요?",
    ],
    "urgent": [
        "Production is down, we need help right now!",
        "I need an answer as soon as possible, the deadline is in an hour.",
        "지금 당장 급해요. 서버가 죽었어요.",
        "마감이 오늘까지라 최대한 빨리 답변 부탁드려요.",
    ],
    "confused": [
        "I don't understand why this returns null, it makes no sense to me.",
        "I'm totally lost, I have no idea what this error means.",
        "설명을 읽어도 무슨 말인지 모르겠어요.",
        "두 문서의 말이 서로 달라서 헷갈려요.",
    ],
    "collaborative": [
        "Let's work on this together with the whole team.",
        "Could we brainstorm with our teammates and decide as a team?",
        "같이 회의해서 정해요.",
        "팀원들과 함께 역할을 나눠서 진행하고 싶어요.",
    ],
}

INTENT_STORIES = {
    "seek_advice": [
        "Should I accept the offer or stay at my current company?",
        "Do you have any advice for a new team lead?",
        "What would you recommend for a junior developer?",
        "이직을 할까 말까 고민이에요.",
        "신입 개발자에게 어떤 책을 추천하시나요?",
        "어떻게 하면 좋을까요?",
    ],
    "problem_solving": [
        "The build is broken and I can't fix the error.",
        "My app keeps crashing after the update.",
        "서버에서 오류가 나는데 해결이 안 돼요.",
        "로그인이 안 되는 문제를 고치고 싶어요.",
        "Redis timeout 났어요",
    ],
    "learning": [
        "How does garbage collection work in Python?",
        "Can you explain the difference between a thread and a process?",
        "클로저의 개념을 설명해 주세요.",
        "도커를 처음부터 배우고 싶어요.",
        "이 함수가 어떻게 동작하는지 궁금해요",
    ],
    "validation": [
        "Is my approach correct, or am I missing a step?",
        "Does this design make sense to you?",
        "Can you review my code and confirm it is good enough?",
        "제가 이해한 게 맞나요?",
        "이 설계가 괜찮은지 확인해 주세요.",
        "제 코드 리뷰 부탁드려요.",
    ],
    "planning": [
        "I need to plan the roadmap for next quarter.",
        "Help me schedule the release and set milestones.",
        "다음 분기 로드맵 일정을 세워야 해요.",
        "이번 주 할 일의 우선순위를 정리해 주세요.",
    ],
    "reflection": [
        "Looking back, I realized how much I have grown this past year.",
        "I've been thinking about what really matters to me at work.",
        "지난 한 해를 돌아보니 많이 성장했어요.",
        "그때 다르게 했더라면 어땠을지 생각이 많아요.",
    ],
}


def is_valid(analysis: Analysis) -> bool:
    key = analysis.key
    confidences = (analysis.tone_confidence, analysis.pace_confidence, analysis.intent_confidence)
    return (
        key.tone in TONES
        and key.pace in PACES
        and key.intent in INTENTS
        and all(0 <= confidence <= 1 for confidence in confidences)
        and analysis.tone_runner_up in TONES
        and analysis.tone_runner_up != key.tone
    )


@pytest.mark.parametrize(("tone", "text"), [(tone, text) for tone in TONES for text in TONE_STORIES[tone]])
def test_each_tone_is_heard_in_both_languages(tone: str, text: str) -> None:
    assert ANALYSER.analyse(text).key.tone == tone


@pytest.mark.parametrize(
    ("intent", "text"), [(intent, text) for intent in INTENTS for text in INTENT_STORIES[intent]]
)
def test_each_intent_is_heard_in_both_languages(intent: str, text: str) -> None:
    assert ANALYSER.analyse(text).key.intent == intent


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("배포가 또 실패했어요. 어떻게 해야 하죠?", "frustrated-medium-seek_advice"),
        ("The deployment failed again. What should I do?", "frustrated-medium-problem_solving"),
        ("이 함수가 어떻게 동작하는지 궁금해요", "curious-medium-learning"),
        ("프로젝트 마감이 내일인데 아무것도 못 했어요 어떡하죠", "urgent-medium-planning"),
        ("요즘 번아웃이 온 것 같아요...", "frustrated-contemplative-seek_advice"),
    ],
)
def test_whole_keys(text: str, key: str) -> None:
    assert str(ANALYSER.analyse(text).key) == key


@pytest.mark.parametrize(
    "text", ["Hello!", "안녕하세요", "Thanks a lot for your help", "감사합니다 😊", "123", "これは"]
)
def test_without_evidence_the_answer_is_calm_and_learning_and_unsure_of_the_intent(text: str) -> None:
    analysis = ANALYSER.analyse(text)

    assert (analysis.key.tone, analysis.key.intent) == ("calm", "learning")
    assert analysis.intent_confidence <= UNSURE


def test_warm_words_that_no_tone_covers_are_calm_with_little_confidence() -> None:
    scores = ANALYSER.class_scores("Thank you so much, I love this!")

    assert max(scores["tone.other"], *(scores[f"tone.{tone}"] for tone in TONES)) == scores["tone.other"]
    assert ANALYSER.analyse("Thank you so much, I love this!").tone_confidence <= UNSURE


def test_trouble_without_a_request_seeks_advice() -> None:
    assert ANALYSER.analyse("I am fed up with all of this").key.intent == "seek_advice"


def test_more_evidence_is_more_confidence() -> None:
    little, much = "I hate it", "I hate it, it is stupid and annoying"

    assert ANALYSER.analyse(little).tone_confidence < ANALYSER.analyse(much).tone_confidence


def test_the_language_chooses_the_lexicon() -> None:
    assert ANALYSER.analyse("Redis timeout 났어요").language == "ko"
    assert ANALYSER.analyse("Redis timed out").language == "en"


def test_class_scores_cover_every_class() -> None:
    assert tuple(ANALYSER.class_scores("hello")) == CLASSES


def test_it_is_a_text_analyser() -> None:
    analyser: TextAnalyser = ANALYSER

    assert analyser.version.startswith("rules@1-")


@given(st.text(max_size=300))
def test_any_checked_text_has_a_valid_analysis(text: str) -> None:
    try:
        check_text(text)
    except InvalidInput:
        return
    assert is_valid(ANALYSER.analyse(text))


WORDS = (
    *("not", "sure", "hate", "don't", "why", "together", "^", "*", "x*", "?", "!!", "..", "😂"),
    *("안", "싫어요", "또", "실패했어요", "왜", "급해요", "ㅋㅋ", "ㅠㅠ"),
)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
def test_any_mix_of_our_own_words_has_one_valid_analysis(words: list[str]) -> None:
    """The same text gives the same analysis, from another analyser of the same files, too."""
    text = " ".join(words)

    assert is_valid(ANALYSER.analyse(text))
    assert ANALYSER.analyse(text) == AGAIN.analyse(text)


@pytest.mark.parametrize("piece", ["word ", "가", "😀", "?!", "a\n", "또 ", "...", "\u0301"])
def test_the_longest_text_has_a_valid_analysis(piece: str) -> None:
    text = (piece * MAX_TEXT_CHARS)[:MAX_TEXT_CHARS]

    assert is_valid(ANALYSER.analyse(text))
