"""Read a stack's dead letters, as a test sees them."""

from dataclasses import dataclass

from infra.local.stack import LocalStack
from tests.support.wait import wait_until
from workers.store.dead_letters import DeadLetterStore
from workers.store.engine import open_store
from workers.store.letters import Filter, KeptLetter

_MANY = 10_000
_PATIENCE_S = 60.0  # the machine may be busy


@dataclass
class Letters:
    """The dead letters of *stack*; those that were there before are not new."""

    stack: LocalStack

    def __post_init__(self) -> None:
        self._known: set[str] = set()
        self.new()

    def all(self) -> list[KeptLetter]:
        """Return all of them, the latest first."""
        assert self.stack.urls.database_url is not None
        with open_store(self.stack.urls.database_url) as store:
            return DeadLetterStore(store).find(Filter(), _MANY)

    def payload(self, letter: KeptLetter) -> bytes:
        """Return what is kept of *letter*."""
        assert self.stack.urls.database_url is not None
        with open_store(self.stack.urls.database_url) as store:
            return DeadLetterStore(store).payload(letter.id)

    def new(self) -> list[KeptLetter]:
        """Return those that were not there when this was asked last."""
        new = [letter for letter in self.all() if letter.id not in self._known]
        self._known.update(letter.id for letter in new)
        return new

    def next(self) -> KeptLetter:
        """Wait for one new letter and return it."""
        found: list[KeptLetter] = []

        def looked() -> bool:
            found.extend(self.new())
            return bool(found)

        wait_until(looked, _PATIENCE_S, "a new dead letter")
        (letter,) = found
        return letter
