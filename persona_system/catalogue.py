"""The data that makes the system: matrix, personas and prompt templates, loaded together and consistent.

A directory holds ``affinity.toml``, ``personas/<name>.toml``, ``templates/<name>.<language>.txt``,
``layout/<language>.txt`` and ``labels/<language>.toml``; the package's own is ``data/``.
Errors:  InvalidCatalogue, which names the file; a persona without a column, a file or a template is one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import get_args

from persona_system.affinity import Affinity, parse_affinity
from persona_system.catalogue_files import parse_toml, read_text
from persona_system.errors import InvalidCatalogue
from persona_system.models import Language, Persona
from persona_system.personas import Personas, parse_persona
from persona_system.prompts.builder import PERSONA_SLOTS, PromptBuilder, TemplatePromptBuilder
from persona_system.prompts.factory import PromptBuilderFactory
from persona_system.prompts.layout import LAYOUT_SLOTS, Layout, check_labels
from persona_system.prompts.template import TemplateFile, parse_template
from persona_system.router import Router

LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Who there is, who answers what, and with which words.

    *version* is a short hash of every file's content, for cache keys and logs: other words, other version.
    """

    version: str
    affinity: Affinity
    router: Router
    personas: Personas
    builders: PromptBuilderFactory

    def with_builder(self, persona: str, builder: PromptBuilder) -> "Catalogue":
        """Return a catalogue in which *persona*'s prompts come from *builder*; its version differs too."""
        name = self.personas.find(persona).name
        templates = [builder.template(language) for language in LANGUAGES]
        return replace(
            self,
            version=_digest({"base": self.version, name: " ".join(templates)}),
            builders=self.builders.with_builder(name, builder),
        )


def load_catalogue(directory: Traversable | None = None) -> Catalogue:
    """Return the catalogue in *directory*; None means the package's own."""
    return _Loader(files("persona_system") / "data" if directory is None else directory).load()


class _Loader:
    """Reads a directory's files, and remembers their content for the version."""

    def __init__(self, root: Traversable) -> None:
        self._root = root
        self._read: dict[str, str] = {}

    def load(self) -> Catalogue:
        affinity = parse_affinity(self._text("affinity.toml"), "affinity.toml")
        personas = self._personas(affinity)
        layouts = {language: self._layout(language, personas) for language in LANGUAGES}
        templates = self._names("templates", ".txt")
        builders = {persona.name: self._builder(persona, templates, layouts) for persona in personas}
        if templates:
            raise InvalidCatalogue(f"templates/{min(templates)}", "belongs to no persona and language")
        return Catalogue(
            version=_digest(self._read),
            affinity=affinity,
            router=Router(affinity),
            personas=personas,
            builders=PromptBuilderFactory(builders),
        )

    def _personas(self, affinity: Affinity) -> Personas:
        found: dict[str, Persona] = {}
        for name in sorted(self._names("personas", ".toml")):
            source = f"personas/{name}"
            persona = parse_persona(self._text(source), source, affinity)
            if name != f"{persona.name.casefold()}.toml":
                raise InvalidCatalogue(
                    source, f"describes {persona.name}; call it after its persona, in lower case"
                )
            found[persona.name] = persona
        for column in affinity.personas:
            if column not in found:
                raise InvalidCatalogue(
                    affinity.source, f"{column} has no file personas/{column.casefold()}.toml"
                )
        return Personas(found[column] for column in affinity.personas)

    def _layout(self, language: Language, personas: Personas) -> Layout:
        source = f"layout/{language}.txt"
        file = parse_template(self._text(source), source, LAYOUT_SLOTS)
        source = f"labels/{language}.toml"
        labels = check_labels(parse_toml(self._text(source), source), source)
        korean = {persona.name: f"{persona.korean_name}({persona.name})" for persona in personas}
        return Layout(file, labels, korean if language == "ko" else {})

    def _builder(
        self, persona: Persona, templates: set[str], layouts: Mapping[Language, Layout]
    ) -> TemplatePromptBuilder:
        parsed: dict[Language, TemplateFile] = {}
        for language in LANGUAGES:
            name = f"{persona.name.casefold()}.{language}.txt"
            source = f"templates/{name}"
            if name not in templates:
                raise InvalidCatalogue(source, f"is missing: {persona.name} has no template in {language!r}")
            templates.remove(name)
            parsed[language] = parse_template(self._text(source), source, PERSONA_SLOTS)
        names: Mapping[Language, str] = {"ko": persona.korean_name, "en": persona.name}
        return TemplatePromptBuilder(names, parsed, layouts)

    def _names(self, folder: str, suffix: str) -> set[str]:
        directory = self._root / folder
        if not directory.is_dir():
            raise InvalidCatalogue(f"{folder}/", "is missing")
        return {entry.name for entry in directory.iterdir() if entry.name.endswith(suffix)}

    def _text(self, source: str) -> str:
        text = read_text(self._root.joinpath(*source.split("/")), source)
        self._read[source] = text
        return text


def _digest(contents: Mapping[str, str]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for name in sorted(contents):
        for field in (name, contents[name]):
            data = field.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
