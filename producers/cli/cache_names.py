"""How the cache commands call things: tags by their names, and times."""

from collections.abc import Iterable, Mapping, Sequence

from persona_system.cache.answers import ANSWERS, endpoint_tag, persona_tag
from persona_system.cache.inspection import Stamp
from persona_system.cache.keys import EVERYTHING, EVERYTHING_ID, tag_id


def names_of_tags(personas: Iterable[str], owner: str | None = None) -> Mapping[bytes, str]:
    """Return the names of the tags that answers of ours may carry; the store has only their digests."""
    named = {endpoint_tag(endpoint): f"endpoint:{endpoint}" for endpoint in ANSWERS}
    named |= {persona_tag(persona): f"persona:{persona}" for persona in personas}
    if owner is not None:
        named[tag_id(owner)] = owner
    return {**named, EVERYTHING_ID: EVERYTHING}


def endpoint_in(stamps: Sequence[Stamp]) -> str | None:
    """Return the endpoint whose answer it is."""
    tags = {stamp.tag for stamp in stamps}
    return next((endpoint for endpoint in ANSWERS if endpoint_tag(endpoint) in tags), None)


def short_time(seconds: float) -> str:
    """Return a time in at most two units, such as ``3 min 20 s``."""
    whole = max(0, round(seconds))
    minutes, left_s = divmod(whole, 60)
    hours, left_min = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left_min} min" if left_min else f"{hours} h"
    if minutes:
        return f"{minutes} min {left_s} s" if left_s else f"{minutes} min"
    return f"{left_s} s"
