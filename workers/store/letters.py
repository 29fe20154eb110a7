"""Dead letters as they are kept: what a row says, how a letter that died again changes it, filters.

Pure: no database here.  Times are in milliseconds since the Unix epoch, UTC.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from workers.contract.dead_letters import DeadLetter, Reason, Sighting, letter_id

LAST_MS = 253_402_300_799_999  # the end of the year 9999: what a calendar can show
_LARGEST = 2**31 - 1
_LONGEST_ID, _LONGEST_NAME, _LONGEST_TEXT = 128, 200, 2_000  # characters; an index takes no longer names
_STORY_BEGINNING, _STORY_END = 10, 90  # sightings that are kept of a longer story


class State(enum.StrEnum):
    """Where a kept letter stands."""

    KEPT = "kept"  # nobody has seen to it yet
    RETRIED = "retried"  # sent again, and not dead again so far


class KeptLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A row without its payload.

    *deaths* counts how often it died, *retries* how often it was sent again; *first_ms* and *last_ms* are
    its first and its latest death, *changed_ms* is when the row last changed.
    """

    id: str
    state: State
    reason: Reason
    code: str
    field: str
    problem: str
    fix: str
    queue: str
    task: str
    persona: str
    deliveries: int
    deaths: int
    retries: int
    first_ms: int
    last_ms: int
    changed_ms: int
    size_bytes: int
    job_ids: list[str]
    story: list[Sighting]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters; None and () mean any.  Times are those of the latest death, bounds excluded."""

    reasons: tuple[Reason, ...] = ()
    queue: str | None = None
    task: str | None = None
    persona: str | None = None
    before_ms: int | None = None
    after_ms: int | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many letters wait for somebody to see to them, by reason and by queue; *retried* are apart.

    *oldest_ms* and *newest_ms* are latest deaths of the waiting ones; None: there are none.
    """

    kept: int
    retried: int
    by_reason: dict[str, int]
    by_queue: dict[str, int]
    oldest_ms: int | None
    newest_ms: int | None


def first_kept(letter: DeadLetter) -> KeptLetter:
    """Return the row of a letter that is not there yet, fit for every database."""
    at_ms = _bounded(letter.at_ms, LAST_MS)
    return KeptLetter(
        id=kept_id(letter.id),
        state=State.KEPT,
        reason=letter.reason,
        code=cleaned(letter.code, _LONGEST_NAME),
        field=cleaned(letter.field, _LONGEST_NAME),
        problem=cleaned(letter.problem, _LONGEST_TEXT),
        fix=cleaned(letter.fix, _LONGEST_TEXT),
        queue=cleaned(letter.queue, _LONGEST_NAME),
        task=cleaned(letter.task, _LONGEST_NAME),
        persona=cleaned(letter.persona, _LONGEST_NAME),
        deliveries=_bounded(letter.deliveries, _LARGEST),
        deaths=1,
        retries=0,
        first_ms=at_ms,
        last_ms=at_ms,
        changed_ms=at_ms,
        size_bytes=_bounded(letter.size_bytes, LAST_MS),
        job_ids=[cleaned(job_id, _LONGEST_NAME) for job_id in letter.job_ids],
        story=merged([*map(_cleaned_sighting, letter.story), death_of(letter)]),
    )


def died_again(row: KeptLetter, letter: DeadLetter) -> KeptLetter:
    """Return *row* after another death; *row* itself if it knows of this one already.

    What it says is what the latest death said, its payload stays the first one's.
    """
    new = first_kept(letter)
    if death_of(letter) in row.story:
        return row
    latest = new if new.last_ms >= row.last_ms else row
    return msgspec.structs.replace(
        latest,
        id=row.id,
        state=State.KEPT,
        persona=latest.persona or row.persona or new.persona,
        deaths=row.deaths + 1,
        retries=row.retries,
        first_ms=min(row.first_ms, new.first_ms),
        changed_ms=max(row.changed_ms, new.changed_ms),
        size_bytes=row.size_bytes,
        job_ids=row.job_ids,
        story=merged([*row.story, *new.story]),
    )


def retried(row: KeptLetter, at_ms: int, by: str) -> KeptLetter:
    """Return *row* after it was sent again."""
    return msgspec.structs.replace(
        row,
        state=State.RETRIED,
        retries=row.retries + 1,
        changed_ms=max(row.changed_ms, at_ms),
        story=merged([*row.story, Sighting(at_ms, "sent again", by)]),
    )


def death_of(letter: DeadLetter) -> Sighting:
    """Return the sighting of this death, which tells it from others of the same letter."""
    return Sighting(_bounded(letter.at_ms, LAST_MS), f"dead: {letter.reason}")


def merged(story: Iterable[Sighting]) -> list[Sighting]:
    """Return *story* by time, each sighting once, without the middle of a very long one."""
    ordered = sorted(dict.fromkeys(story), key=lambda sighting: sighting.at_ms)
    if len(ordered) <= _STORY_BEGINNING + _STORY_END:
        return ordered
    return [*ordered[:_STORY_BEGINNING], *ordered[-_STORY_END:]]


def kept_id(given: str) -> str:
    """Return the id that a letter is kept under: the given one, if a person could type it."""
    fits = 0 < len(given) <= _LONGEST_ID and given.isascii() and given.isprintable() and " " not in given
    return given if fits else letter_id(given.encode(errors="replace"))


def matches(row: KeptLetter, wanted: Filter) -> bool:
    """Say whether *row* is among *wanted*: what the database's conditions mean."""
    return (
        (not wanted.reasons or row.reason in wanted.reasons)
        and wanted.queue in {None, row.queue}
        and wanted.task in {None, row.task}
        and wanted.persona in {None, row.persona}
        and (wanted.before_ms is None or row.last_ms < wanted.before_ms)
        and (wanted.after_ms is None or row.last_ms > wanted.after_ms)
        and wanted.state in {None, row.state}
    )


def _cleaned_sighting(seen: Sighting) -> Sighting:
    return Sighting(
        _bounded(seen.at_ms, LAST_MS),
        cleaned(seen.what, _LONGEST_NAME),
        cleaned(seen.worker, _LONGEST_NAME),
    )


def cleaned(text: str, longest: int) -> str:
    """Return *text* as PostgreSQL can keep it: no NUL, no half of a surrogate pair, not too long."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()[:longest]


def _bounded(number: int, largest: int) -> int:
    return max(0, min(number, largest))
