"""What a text sounds like, by rules: ``load_analyser().analyse(text)``."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from persona_system.analysis.loading import read_lexicon
from persona_system.analysis.rules import RuleAnalyser
from persona_system.errors import InvalidCatalogue
from persona_system.models import Language

__all__ = ["RuleAnalyser", "load_analyser"]

RULES_VERSION = "rules@1"  # raised when the same lexicons would give other answers
LANGUAGES: tuple[Language, ...] = ("ko", "en")


def load_analyser(directory: Traversable | None = None) -> RuleAnalyser:
    """Return the analyser of the lexicons ``ko.toml`` and ``en.toml`` in *directory*, or of our own.

    Its version names the rules and the content of the files, so that an edit is a new version.
    Raises InvalidCatalogue for a file that is missing or wrong.
    """
    folder = files(__name__).joinpath("lexicons") if directory is None else directory
    digest = hashlib.blake2b(digest_size=4)
    lexicons = {}
    for language in LANGUAGES:
        name = f"{language}.toml"
        try:
            content = folder.joinpath(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise InvalidCatalogue(name, "is missing: every language needs a lexicon") from None
        except UnicodeDecodeError:
            raise InvalidCatalogue(name, "is not UTF-8") from None
        digest.update(content.encode())
        lexicons[language] = read_lexicon(name, content)
    return RuleAnalyser(f"{RULES_VERSION}-{digest.hexdigest()}", lexicons)
