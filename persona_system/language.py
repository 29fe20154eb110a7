"""Tell Korean messages from all others, which are answered in English.

A message is Korean when at least a sixth of its letters is Hangul: one Hangul syllable carries about
as much as two to three Latin letters, and technical Korean is full of Latin words
("Redis timeout 났어요").  A single Korean word quoted in English stays English.
"""

import re

from persona_system.models import Language

HANGUL_SHARE = 6  # Korean when Hangul letters x 6 >= all letters
READ_CHARS = 2_000  # a longer text is judged by its beginning, so that the cost is bounded
GLANCE_CHARS = 80

_HANGUL = re.compile("[\uac00-\ud7a3\u3131-\u318e\u1100-\u11ff]+")  # syllables, jamo, decomposed jamo
_LETTERS = re.compile(r"[^\W\d_]+")


def detect_language(text: str) -> Language:
    """Return the language in which *text* is to be answered: ``ko`` or ``en``."""
    if text.isascii():
        return "en"
    head = text[:READ_CHARS]
    for part in (head[:GLANCE_CHARS], head):  # most Korean texts are known at a glance
        hangul = len("".join(_HANGUL.findall(part)))
        if hangul * HANGUL_SHARE >= len(head):  # then it is so of the letters, too
            return "ko"
    letters = len("".join(_LETTERS.findall(head)))
    return "ko" if 0 < letters <= hangul * HANGUL_SHARE else "en"
