"""``ion cache explain``: would a look-up hit, and why or why not.

It tells what a process would find that has no copy of its own; copies in processes cannot be seen from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_system.cache.answers import owner_tag, process_request, recommend_request
from persona_system.cache.gate import Gate, fingerprint
from persona_system.cache.inspection import Inspection, Kept, Stamp, State
from persona_system.cache.keys import EVERYTHING, REQUEST_BYTES, VERSION_BYTES, tag_id, version_id
from persona_system.errors import InvalidInput
from persona_system.models import NO_CONTEXT, Context
from producers.cli.cache_names import endpoint_in, names_of_tags, short_time
from workers.contract import names

if TYPE_CHECKING:
    from persona_system.pipeline import PersonaPipeline

_WHO = frozenset({"user_id", "session_id"})
NOT_OURS = "of a person, or unknown here"  # a tag whose digest no name here gives


@dataclass(frozen=True, slots=True)
class Question:
    """A request; what is None cannot be told from an id alone.

    *version* is of the answers that this installation would give; *expected* are the tags that an answer
    will carry, and *names* those that one may carry, by digest.
    """

    request: bytes
    version: bytes
    names: Mapping[bytes, str]
    endpoint: str | None = None
    expected: tuple[str, ...] = ()
    counts: tuple[str, ...] | None = None  # fields of the context that the key depends on
    ignored: tuple[str, ...] = ()
    sampled: bool | None = None  # asked about even while the cache of its endpoint does not pay


@dataclass(frozen=True, slots=True)
class Explanation:
    """What came out: *current* is the version that workers give now, None when none has said."""

    question: Question
    current: bytes | None
    kept: Kept
    stamps: tuple[Stamp, ...]
    elsewhere: tuple[bytes, ...] = ()  # other versions that have an answer, which nobody asks for

    @property
    def would_hit(self) -> bool:
        """Whether a process without a copy of its own would find an answer."""
        return self.current is not None and self.kept.served

    @property
    def endpoint(self) -> str | None:
        """The endpoint asked, as far as it can be told."""
        return self.question.endpoint or endpoint_in(self.kept.stamps)

    def name_of(self, tag: bytes) -> str:
        """Return what *tag* is called, as far as it can be told."""
        return self.question.names.get(tag, NOT_OURS)

    def why(self) -> str:
        """Return in a sentence what a look-up would do, and why."""
        if self.current is None:
            return "A look-up would miss: no worker has said yet which answers are current."
        kept = self.kept
        reasons = {
            State.FRESH: f"the store has it, fresh for another {short_time(kept.due_in_s or 0)}",
            State.DUE: "the store has it; it is due, so one elected caller computes it anew, "
            "and the others are served what is there",
            State.VOID: self._why_void(),
            State.AGED: f"its time was up {short_time(-(kept.dead_in_s or 0))} ago",
            State.AHEAD: f"it was made {short_time(-(kept.age_s or 0))} in the future: clocks differ",
            State.UNREADABLE: "what is stored there is not readable (damaged, or of another format); "
            "it is computed again and replaced",
            State.ABSENT: self._why_absent(),
        }
        return f"A look-up would {'hit' if kept.served else 'miss'}: {reasons[kept.state]}."

    def own_tier(self) -> str:
        """Return what processes may hold in their own tiers."""
        kept = self.kept
        if kept.served:
            since = short_time(kept.age_s or 0)
            return f"per process: any that asked in the last {since} may have a copy; this command has none"
        if kept.state in {State.VOID, State.AGED}:
            return "per process: none may serve a copy of this one any more"
        return "per process: one may still have a copy that the store has lost; this command has none"

    def _why_void(self) -> str:
        changed = [stamp for stamp in self.stamps if not stamp.current]
        tags = ", ".join(self.name_of(stamp.tag) for stamp in changed)
        lost = any(stamp.now is None for stamp in changed)  # which looks the same
        return f"since it was made, {tags} {'was' if len(changed) == 1 else 'were'} invalidated" + (
            " (or lost what marks it as current)" if lost else ""
        )

    def _why_absent(self) -> str:
        if not self.elsewhere:
            return "the store has no answer to it"
        versions = ", ".join(version.hex() for version in self.elsewhere)
        return f"the store has an answer of another version only ({versions}), which is not current"


def question_of(
    text: str, key: str | None, about: Context, catalogue: Path | None, *, recommend: bool
) -> Question:
    """Return what a client would ask with these options; raise InvalidInput for what it would refuse."""
    from persona_system.vocabulary import parse_key  # noqa: PLC0415

    pipeline = _pipeline(catalogue)
    canonical = None if key is None else str(parse_key(key))
    ask = recommend_request if recommend else process_request
    if recommend:
        endpoint, owner = "recommend", None
        persona = pipeline.recommend(text, canonical).recommended_persona
    else:
        endpoint, owner = "process", owner_tag(about)
        persona = pipeline.process(text, canonical, about).persona_used
    request = ask(text, canonical, about)
    given = [field.name for field in fields(about) if getattr(about, field.name) != _default(field.name)]
    counts = [name for name in given if ask(text, canonical, _without(about, name)) != request]
    expected = [f"endpoint:{endpoint}", f"persona:{persona}", *([] if owner is None else [owner]), EVERYTHING]
    return Question(
        request,
        version_id(pipeline.version),
        names_of_tags(pipeline.catalogue.personas.names, owner),
        endpoint,
        tuple(expected),
        tuple(counts),
        tuple([name for name in given if name not in counts]),
        Gate().sampled(fingerprint(text)),
    )


def question_of_id(written: str, catalogue: Path | None) -> Question:
    """Return what *written*, an id as ``ion cache top`` prints it, stands for."""
    try:
        request = bytes.fromhex(written)
    except ValueError:
        request = b""
    if len(request) == VERSION_BYTES + REQUEST_BYTES:  # a whole key, of whatever version
        request = request[VERSION_BYTES:]
    if len(request) != REQUEST_BYTES:
        raise InvalidInput(
            "--id", "is not a request's id", "give the 32 hex digits that ion cache top prints"
        )
    pipeline = _pipeline(catalogue)
    return Question(request, version_id(pipeline.version), names_of_tags(pipeline.catalogue.personas.names))


def explained(look: Inspection, question: Question) -> Explanation:
    """Return what the store has to say about *question*."""
    current = look.note(names.CACHE_VERSION_NOTE)
    version = question.version if current is None else current
    (kept,) = look.answers([version + question.request])
    stamps = kept.stamps
    if not stamps:
        tags = [tag_id(name) for name in question.expected]
        stamps = tuple([Stamp(tag, None, now) for tag, now in zip(tags, look.stamps(tags), strict=True)])
    elsewhere: list[bytes] = []
    if kept.state is State.ABSENT:
        elsewhere, _ = look.versions_of(question.request)
    return Explanation(question, current, kept, stamps, tuple(elsewhere))


def _pipeline(catalogue: Path | None) -> "PersonaPipeline":
    from persona_system.pipeline import load_pipeline  # noqa: PLC0415

    return load_pipeline(directory=catalogue)


def _without(about: Context, name: str) -> Context:
    return replace(about, **{name: _default(name)})


def _default(name: str) -> Any:
    return getattr(NO_CONTEXT, name)


def is_anybodys(question: Question) -> bool:
    """Whether the key depends on nobody, so that all who ask the same share the answer."""
    return question.counts is not None and not _WHO & set(question.counts)
