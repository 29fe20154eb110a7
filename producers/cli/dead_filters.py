"""Ages as people type them: ``90s``, ``30m``, ``12h``, ``7d``, ``2w``."""

import re

from persona_system.errors import InvalidInput

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGE = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)


def since_ms(option: str, age: str, now_ms: int) -> int:
    """Return when it was that *age* ago, never before the epoch; raise InvalidInput naming *option*."""
    return max(0, now_ms - age_ms(option, age))


def age_ms(option: str, age: str) -> int:
    """Return how long *age* is; raise InvalidInput naming *option*."""
    found = _AGE.fullmatch(age.strip().lower())
    if found is None:
        raise InvalidInput(option, "is no age", "write a number and a unit: 90s, 30m, 12h, 7d or 2w")
    return int(found[1]) * _UNITS_MS[found[2]]


def short_age(ms: int) -> str:
    """Return an age in its largest unit, such as ``3 d``; ``now`` below a second."""
    for unit in ("w", "d", "h", "m", "s"):
        if ms >= _UNITS_MS[unit] * (2 if unit == "w" else 1):
            return f"{ms // _UNITS_MS[unit]} {'min' if unit == 'm' else unit}"
    return "now"
