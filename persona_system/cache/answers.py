"""The answers of the two persona endpoints in the cache: what each depends on, and what voids it.

    request   endpoint, text, resonance key (or none: "analyse") and the part of the context that is used
    version   of everything else that an answer depends on: matrix, personas, templates, analyser, code
    tags      ``endpoint:process``, ``persona:Lua``, and ``user:{id}`` (else ``session:{id}``) where the
              context of a person is used

Producers and workers share this; only workers compute.
Source:  facts of the system, section 6 (300 s for results, 3,600 s for what rests on persona data alone).
"""

from dataclasses import dataclass
from datetime import timedelta

from persona_system.cache.keys import request_id, tag_id
from persona_system.cache.lifetime import Lifetime
from persona_system.models import NO_CONTEXT, Context
from persona_system.prompts.builder import used_context

GRACE = timedelta(seconds=1_500)


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How one endpoint uses the cache.

    *answers* names whose answers these are: bulk runs share those of interactive work.  *keep_computed*:
    whether what was computed enters the process's own tier at once, or only when somebody asks for it
    again (bulk runs are mostly unique).
    """

    endpoint: str
    answers: str
    lifetime: Lifetime
    keep_computed: bool = True


_RESULTS = Lifetime(timedelta(seconds=300), GRACE)
PROCESS = CachePolicy("process", "process", _RESULTS)
BULK = CachePolicy("bulk", PROCESS.answers, _RESULTS, keep_computed=False)
RECOMMEND = CachePolicy("recommend", "recommend", Lifetime(timedelta(seconds=3_600), GRACE))
POLICIES = (PROCESS, BULK, RECOMMEND)
ANSWERS = tuple(dict.fromkeys(policy.answers for policy in POLICIES))


def process_request(text: str, key: str | None, context: Context | None) -> bytes:
    """Return the id of a message's request; bulk and interactive work share their answers."""
    if context is None or context == NO_CONTEXT:
        return request_id("process", key, text)
    return request_id("process", key, text, used_context(context))


def recommend_request(text: str, key: str | None, context: Context | None) -> bytes:  # noqa: ARG001 - as above
    """Return the id of a scenario's request, which depends on nobody's context."""
    return request_id("recommend", key, text)


def owner_tag(context: Context | None) -> str | None:
    """Return the tag of whose context an answer uses, if it uses any."""
    if context is None or used_context(context) == ("compact",):
        return None
    if context.user_id is not None:
        return f"user:{context.user_id}"
    return None if context.session_id is None else f"session:{context.session_id}"


def persona_tag(persona: str) -> bytes:
    """Return the tag of the answers of *persona*."""
    return tag_id(f"persona:{persona}")


def endpoint_tag(answers: str) -> bytes:
    """Return the tag of all answers of one kind."""
    return tag_id(f"endpoint:{answers}")
