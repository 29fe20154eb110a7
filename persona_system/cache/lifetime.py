"""How long an answer is fresh, when it is due for a refresh, and how long it may be served at all.

    made ------------------- due ---- fresh ends ------------------------ dead
          served as it is         one elected caller computes it anew,
                                  everybody else is served what is there

Answers of one moment must not all fall due in another one, hence the jitter.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from persona_system.errors import InvalidInput

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """*fresh*, then *grace* in which a stale answer is served while somebody refreshes it; then nothing.

    The refresh falls due somewhere in the last *early* (a share) of *fresh*; nothing is served longer
    than fresh + grace, shortened by up to *jitter* (a share).
    """

    fresh: timedelta
    grace: timedelta = timedelta(0)
    early: float = 0.2
    jitter: float = 0.1
    _fresh_ms: float = field(init=False, repr=False, compare=False)  # divided once, drawn from often
    _served_ms: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.fresh <= timedelta(0) or self.grace < timedelta(0):
            raise InvalidInput("lifetime", "is not in the future", "give fresh > 0 and grace >= 0")
        if not (0 <= self.early < 1 and 0 <= self.jitter < 1):
            raise InvalidInput("lifetime", "has shares outside [0, 1)", "give early and jitter as shares")
        object.__setattr__(self, "_fresh_ms", self.fresh / _MS)
        object.__setattr__(self, "_served_ms", (self.fresh + self.grace) / _MS)

    def draw_ms(self, random: Callable[[], float]) -> tuple[int, int]:
        """Return (due, dead) as ages in ms; *random* gives numbers in [0, 1)."""
        dead_ms = self._served_ms * (1 - self.jitter * random())
        due_ms = self._fresh_ms * (1 - self.early * random())
        return int(due_ms if due_ms < dead_ms else dead_ms), int(dead_ms) or 1
