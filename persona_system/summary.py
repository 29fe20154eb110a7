"""A conversation's running summary, kept by rule: cheap enough to update after every turn.

A turn is told by what the person asked (the last question with the sentence before it, which says what it
is about; without a question, the longest of the first three sentences, so that a greeting is passed over)
and by the first sentence of the reply.  When the summary grows over its limit, turns are dropped from the
middle: the first one says what the conversation is about, the last ones where it stands.

Limits:  800 characters in all, 120 for each side of a turn; reads at most 1,000 characters at either end
         of a text, so a turn costs well under a millisecond.
Errors:  none; any text can be summarised, and a summary always passes ``check_context``.
"""

import re

MAX_CHARS = 800
MAX_SIDE_CHARS = 120
MAX_TURN_CHARS = 2 * MAX_SIDE_CHARS + 3
READ_CHARS = 1_000

_TURN = "●"  # between turns
_REPLY = " → "  # between what was said and what was answered
_GAP = "…"  # stands for the turns that were dropped
_RESERVED = str.maketrans({_TURN: " ", "→": "-"})
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")  # not the dot of "v2.0"
_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def update_summary(summary: str | None, user_text: str, reply_text: str) -> str:
    """Return *summary* with one more turn in it; None or "" begins a new one.  Pure."""
    told = [part.strip()[:MAX_TURN_CHARS] for part in ("" if summary is None else summary).split(_TURN)]
    turns = [turn for turn in told if turn not in ("", _GAP)]
    turn = _REPLY.join(filter(None, (_asked(user_text), _opening(reply_text))))
    if turn:
        turns.append(turn)
    dropped = _GAP in told
    while len(_joined(turns, dropped=dropped)) > MAX_CHARS:
        del turns[1]
        dropped = True
    return _joined(turns, dropped=dropped)


def _joined(turns: list[str], *, dropped: bool) -> str:
    return f" {_TURN} ".join([turns[0], _GAP, *turns[1:]] if dropped and turns else turns)


def _asked(text: str) -> str:
    """Return the last question of *text* with what leads to it, or else its weightiest opening sentence."""
    sentences = _sentences(text[-READ_CHARS:])
    for at in reversed(range(len(sentences))):
        if sentences[at].endswith(("?", "？")):
            return _cut(" ".join(sentences[max(at - 1, 0) : at + 1]))
    return _cut(max(_sentences(text[:READ_CHARS])[:3], key=len, default=""))


def _opening(text: str) -> str:
    return _cut(next(iter(_sentences(text[:READ_CHARS])), ""))


def _sentences(text: str) -> list[str]:
    """Return the sentences that say something, each in one line and without our own separators."""
    found = _SENTENCE_END.split(text.translate(_RESERVED))
    lines = (" ".join(_UNREADABLE.sub(" ", sentence).split()) for sentence in found)
    return [line for line in lines if any(map(str.isalnum, line))]


def _cut(side: str) -> str:
    return side if len(side) <= MAX_SIDE_CHARS else side[: MAX_SIDE_CHARS - 1] + "…"
