"""How long an answer is fresh, when it is due for a refresh, and how long it may be served at all.

    made ------------------- due ---- fresh ends ------------------------ dead
          served as it is         one elected caller computes it anew,
                                  everybody else is served what is there

Answers of one moment must not all fall due in another one, hence the jitter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from persona_system.errors import InvalidInput


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

    def __post_init__(self) -> None:
        if self.fresh <= timedelta(0) or self.grace < timedelta(0):
            raise InvalidInput("lifetime", "is not in the future", "give fresh > 0 and grace >= 0")
        if not (0 <= self.early < 1 and 0 <= self.jitter < 1):
            raise InvalidInput("lifetime", "has shares outside [0, 1)", "give early and jitter as shares")

    def draw_ms(self, random: Callable[[], float]) -> tuple[int, int]:
        """Return (due, dead) as ages in ms; *random* gives numbers in [0, 1)."""
        fresh_ms = self.fresh.total_seconds() * 1000
        most_ms = fresh_ms + self.grace.total_seconds() * 1000
        dead_ms = most_ms * (1 - self.jitter * random())
        return int(min(fresh_ms * (1 - self.early * random()), dead_ms)), max(1, int(dead_ms))
