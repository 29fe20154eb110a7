"""From a message to the prompt of the mentor who answers it.

The key is the caller's, or derived from the text; the router decides who answers; the persona's builder
writes the prompt, in the language of the text.

Units:   times in milliseconds.  A 200-character message with a key takes about 5 us.
Errors:  InvalidInput and its branch, for a message, key, context or persona that is wrong.
"""

import time
from collections.abc import Callable
from importlib.resources.abc import Traversable
from typing import Any

from persona_system.analysis import load_analyser
from persona_system.catalogue import LANGUAGES, Catalogue, load_catalogue
from persona_system.context import check_context, with_known_persona
from persona_system.errors import InvalidInput
from persona_system.language import detect_language
from persona_system.models import NO_CONTEXT, Context, Recommendation, Response
from persona_system.ports import TextAnalyser
from persona_system.text import MAX_TEXT_CHARS, check_text
from persona_system.vocabulary import ResonanceKey

ANSWERS = 1  # raise it when code answers otherwise with the same catalogue and analyser: caches go by it


class PersonaPipeline:
    """Answers messages with a catalogue and an analyser; holds no other state, so threads may share it.

    *timer* gives seconds from any start, and is only read to tell how long a message took.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        analyser: TextAnalyser,
        timer: Callable[[], float] = time.perf_counter,
        max_text_chars: int = MAX_TEXT_CHARS,
    ) -> None:
        self.catalogue = catalogue
        self.analyser = analyser
        self.version = f"{ANSWERS}/{catalogue.version}/{analyser.version}"
        self._timer = timer
        self._max_text_chars = max_text_chars
        self._resolve = catalogue.router.resolve
        self._prompts = {
            name: (builder.build, {language: builder.template(language) for language in LANGUAGES})
            for name, builder in (
                (name, catalogue.builders.builder(name)) for name in catalogue.personas.names
            )
        }

    def process(
        self,
        user_input: str,
        resonance_key: ResonanceKey | str | None = None,
        context: Context | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Response:
        """Return the prompt for *user_input*; without *resonance_key*, the text is analysed."""
        started = self._timer()
        check_text(user_input, self._max_text_chars)
        if context is None:
            context = NO_CONTEXT
        elif context is not NO_CONTEXT:
            context = with_known_persona(check_context(context), self.catalogue.personas)
        if metadata is not None and not isinstance(metadata, dict):
            raise InvalidInput(
                "metadata", f"is {type(metadata).__name__}, not a mapping", "send names and values"
            )
        if resonance_key is None:
            analysis = self.analyser.analyse(user_input)
            language = analysis.language
            key, decision = self._resolve(analysis.key)
        else:
            analysis = None
            key, decision = self._resolve(resonance_key)
            language = detect_language(user_input)
        persona = decision.primary
        build, templates = self._prompts[persona]
        return Response(
            build(user_input, key, language, context),
            persona,
            key,
            language,
            templates[language],
            decision,
            analysis,
            (self._timer() - started) * 1000,
            metadata,
        )

    def recommend(self, scenario: str, resonance_key: ResonanceKey | str | None = None) -> Recommendation:
        """Return which mentor suits *scenario*; without *resonance_key*, it is analysed."""
        check_text(scenario, self._max_text_chars, "scenario")
        if resonance_key is None:
            analysis = self.analyser.analyse(scenario)
            key, decision = self._resolve(analysis.key)
        else:
            analysis = None
            key, decision = self._resolve(resonance_key)
        return Recommendation(
            recommended_persona=decision.primary,
            scores=decision.scores,
            capabilities=self.catalogue.personas.find(decision.primary),
            resonance_key=key,
            analysis=analysis,
        )


def load_pipeline(
    analyser: TextAnalyser | None = None,
    directory: Traversable | None = None,
    max_text_chars: int = MAX_TEXT_CHARS,
) -> PersonaPipeline:
    """Return a pipeline; None takes the package's own analyser, and the package's own catalogue."""
    if analyser is None:
        analyser = load_analyser()
    return PersonaPipeline(load_catalogue(directory), analyser, max_text_chars=max_text_chars)
