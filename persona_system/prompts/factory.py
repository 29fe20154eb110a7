"""Find the prompt builder of a persona by name, and put another one in its place."""

from collections.abc import Mapping
from types import MappingProxyType

from persona_system.errors import UnknownPersona, shorten
from persona_system.prompts.builder import PromptBuilder


class PromptBuilderFactory:
    """Builders by name, in any letter case.  Never changes: ``with_builder`` returns another factory."""

    def __init__(self, builders: Mapping[str, PromptBuilder]) -> None:
        self._builders = MappingProxyType({name.casefold(): builder for name, builder in builders.items()})
        self._names = MappingProxyType({name.casefold(): name for name in builders})

    @property
    def names(self) -> tuple[str, ...]:
        """The names as they were registered."""
        return tuple(self._names.values())

    def builder(self, name: object) -> PromptBuilder:
        """Return the builder called *name*; raise UnknownPersona when there is none."""
        found = self._builders.get(name.casefold()) if isinstance(name, str) else None
        if found is None:
            raise UnknownPersona(
                "persona", f"{shorten(name)} has no prompt builder", f"use one of {', '.join(self.names)}"
            )
        return found

    def with_builder(self, name: str, builder: PromptBuilder) -> "PromptBuilderFactory":
        """Return a factory in which *name* has *builder*, whether it had one before or not."""
        others = {n: self._builders[f] for f, n in self._names.items() if f != name.casefold()}
        return PromptBuilderFactory({**others, name: builder})
