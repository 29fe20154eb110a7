"""Cut a message into tokens: words, and the signs that carry feeling or structure.

One pass, the same for both languages and for lexicon entries, so that an entry is matched exactly as
it was written.  Words are lower case; a letter or sign that people stretch counts at most twice in a
row ("sooo!!!!" and "soo!!" are the same, and so are "ㅋㅋㅋㅋㅋ" and "ㅋㅋ"); decomposed Hangul is composed.
"""

import re
import unicodedata

READ_CHARS = 2_000  # a longer text is read as its first half of this and its last half, to bound the cost

START = "^"  # the token before the first word of a text

_STRETCHED = "aeiouhmswy!?.~\nㅋㅎㅠㅜ"
_TRIPLES = tuple(3 * char for char in _STRETCHED)  # looking for them is ten times faster than the pattern
_RUN = re.compile(rf"([{_STRETCHED}])\1{{2,}}")
_TOKEN = re.compile(
    r"[a-z][a-z0-9]*(?:'[a-z]+)*|[가-힣]+|[0-9]+"
    r"|[?!]+|\.{2}|\.(?=\s|$)|\n"
    r"|[ㅋㅎㅠㅜ]+|[ㄱ-ㅎㅡ]{2}|~"
    r"|[:;=]['-]?[()dpo/|3*]|\^\^"
    r"|[\u2300-\u27bf\U0001f300-\U0001faff]"
)
_ONE_SIGN_EACH = (("’", "'"), ("‘", "'"), ("…", ".."), ("？", "?"), ("！", "!"), ("。", ". "))


def excerpt(text: str) -> str:
    """Return *text*, or the two ends of a text longer than READ_CHARS with a line break between."""
    if len(text) <= READ_CHARS:
        return text
    half = READ_CHARS // 2
    return f"{text[:half]}\n{text[-half:]}"


def normalise(text: str) -> str:
    """Return *text* in the one spelling that tokens are cut from."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        for sign, plain in _ONE_SIGN_EACH:
            if sign in text:
                text = text.replace(sign, plain)
    text = text.lower()
    for triple in _TRIPLES:
        if triple in text:
            return _RUN.sub(r"\1\1", text)
    return text


def tokenise(text: str) -> list[str]:
    """Return the words and signs of a normalised text, in order."""
    return _TOKEN.findall(text)
