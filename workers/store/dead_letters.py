"""Dead letters in the database.

Keeping a letter twice is the same as keeping it once; a letter that was sent again and died again is the
same letter with a longer story.

Errors:  StoreUnavailable from every method; NoSuchLetter and SeveralLetters for an id.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workers.contract.dead_letters import DeadLetter, Reason, Sighting
from workers.store.engine import Store
from workers.store.errors import NoSuchLetter, SeveralLetters
from workers.store.letters import Counts, Filter, KeptLetter, State, died_again, first_kept, retried
from workers.store.metadata import metadata

_SOME = 3  # of the letters that an abbreviated id may mean

_LETTERS = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False, index=True),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("fix", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False, index=True),
    sa.Column("task", sa.Text, nullable=False, index=True),
    sa.Column("persona", sa.Text, nullable=False, index=True),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("first_ms", sa.BigInteger, nullable=False),
    sa.Column("last_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("changed_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("job_ids", sa.Text, nullable=False),  # JSON, for whoever looks with SQL
    sa.Column("story", sa.Text, nullable=False),  # JSON
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
_RETRIES = sa.Table(
    "dead_letter_retries",
    metadata,
    sa.Column("becomes", sa.Text, primary_key=True),  # the id that it would have if it died again
    sa.Column(
        "letter", sa.Text, sa.ForeignKey(_LETTERS.c.id, ondelete="CASCADE"), nullable=False, index=True
    ),
)
_NAMES = KeptLetter.__struct_fields__
_SHOWN = [_LETTERS.c[name] for name in _NAMES]  # all but the payload
_INSERT: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

_REASONS = frozenset(reason.value for reason in Reason)

_to_json = msgspec.json.Encoder().encode
_job_ids = msgspec.json.Decoder(list[str]).decode
_story = msgspec.json.Decoder(list[Sighting]).decode


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the next one goes on after it."""

    last_ms: int
    id: str


class DeadLetterStore:
    """The dead letters in *store*, which belongs to whoever opened it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, letter: DeadLetter) -> bool:
        """Keep *letter*; say whether that was news."""
        while True:
            with contextlib.suppress(NoSuchLetter):  # it was purged while we looked: once more, then
                return self._keep(letter)

    def _keep(self, letter: DeadLetter) -> bool:
        new = first_kept(letter)
        with self._store.writing() as connection:
            known_as = _known_as(connection, new.id)
            if known_as is None:
                insert = _INSERT[connection.dialect.name](_LETTERS).on_conflict_do_nothing()
                row = {**_row(new), "payload": letter.payload}
                if connection.scalar(insert.values(row).returning(_LETTERS.c.id)) is not None:
                    return True
            before = _locked(connection, new.id if known_as is None else known_as)
            after = died_again(before, letter)
            if after is not before:
                _write(connection, after)
            return after is not before

    def find(self, wanted: Filter, limit: int, after: Place | None = None) -> list[KeptLetter]:
        """Return at most *limit* of the *wanted* letters, the latest death first, from *after* on."""
        latest_first = (_LETTERS.c.last_ms.desc(), _LETTERS.c.id.desc())
        query = sa.select(*_SHOWN).where(*_conditions(wanted)).order_by(*latest_first).limit(limit)
        if after is not None:
            query = query.where(sa.tuple_(_LETTERS.c.last_ms, _LETTERS.c.id) < (after.last_ms, after.id))
        with self._store.reading() as connection:
            return [_letter(row) for row in connection.execute(query)]

    def of_job(self, job_id: str, limit: int) -> list[KeptLetter]:
        """Return at most *limit* of the letters that *job_id* is in, the latest death first."""
        named = _LETTERS.c.job_ids.contains(_to_json(job_id).decode(), autoescape=True)
        latest_first = (_LETTERS.c.last_ms.desc(), _LETTERS.c.id.desc())
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(*_SHOWN).where(named).order_by(*latest_first))
            found = (_letter(row) for row in rows)  # among them, ids that end so behind an escaped quote
            return list(itertools.islice((one for one in found if job_id in one.job_ids), limit))

    def count(self, wanted: Filter) -> int:
        """Return how many letters are *wanted*."""
        with self._store.reading() as connection:
            query = sa.select(sa.func.count()).select_from(_LETTERS).where(*_conditions(wanted))
            return int(connection.scalar(query) or 0)

    def kept(self) -> int:
        """Return how many letters there are."""
        return self.count(Filter())

    def get(self, letter_id: str) -> KeptLetter:
        """Return the letter of this id, or the only one whose id begins so."""
        begins_so = sa.func.substr(_LETTERS.c.id, 1, len(letter_id)) == letter_id
        with self._store.reading() as connection:
            exact = connection.execute(sa.select(*_SHOWN).where(_LETTERS.c.id == letter_id)).one_or_none()
            if exact is not None:
                return _letter(exact)
            some = connection.execute(sa.select(*_SHOWN).where(begins_so).limit(_SOME)).all()
        if len(some) == 1 and letter_id:
            return _letter(some[0])
        if some:
            raise SeveralLetters(letter_id)
        raise NoSuchLetter(letter_id)

    def payload(self, letter_id: str) -> bytes:
        """Return the payload of the letter with exactly this id: people's words."""
        with self._store.reading() as connection:
            found = connection.scalar(sa.select(_LETTERS.c.payload).where(_LETTERS.c.id == letter_id))
        if found is None:
            raise NoSuchLetter(letter_id)
        return bytes(found)

    @contextlib.contextmanager
    def retrying(self, letter_id: str, at_ms: int, by: str, becomes: Sequence[str]) -> Iterator[None]:
        """Send the letter again in this block; if it dies as one of *becomes*, it is the same one.

        What the block raises leaves the letter as it was.
        """
        with self._store.writing() as connection:
            row = _locked(connection, letter_id)
            _write(connection, retried(row, at_ms, by))
            for other in becomes:
                insert = _INSERT[connection.dialect.name](_RETRIES).on_conflict_do_nothing()
                connection.execute(insert.values(becomes=other, letter=letter_id))
            yield

    def purge(self, wanted: Filter, ids: Sequence[str] = ()) -> int:
        """Delete the *wanted* letters, only those among *ids* if any are given; return how many."""
        with self._store.writing() as connection:
            delete = sa.delete(_LETTERS).where(*_conditions(wanted))
            if ids:
                delete = delete.where(_LETTERS.c.id.in_(ids))
            return int(connection.execute(delete).rowcount)

    def tidy(self, before_ms: int, most: int) -> int:
        """Delete what has not changed since *before_ms*, and the oldest beyond *most* letters."""
        with self._store.writing() as connection:
            old = connection.execute(sa.delete(_LETTERS).where(_LETTERS.c.changed_ms < before_ms)).rowcount
            total = int(connection.scalar(sa.select(sa.func.count()).select_from(_LETTERS)) or 0)
            if total <= most:
                return int(old)
            oldest = sa.select(_LETTERS.c.id).order_by(_LETTERS.c.changed_ms, _LETTERS.c.id)
            beyond = sa.delete(_LETTERS).where(_LETTERS.c.id.in_(oldest.limit(total - most)))
            return int(old) + int(connection.execute(beyond).rowcount)

    def counts(self) -> Counts:
        """Return how many letters wait for somebody to see to them, as monitoring reads it."""
        waiting = _LETTERS.c.state == State.KEPT
        number = sa.func.count()
        with self._store.reading() as connection:
            by_state = _pairs(connection, sa.select(_LETTERS.c.state, number).group_by(_LETTERS.c.state))
            by_reason, by_queue = (
                _pairs(connection, sa.select(column, number).where(waiting).group_by(column))
                for column in (_LETTERS.c.reason, _LETTERS.c.queue)
            )
            times = sa.select(sa.func.min(_LETTERS.c.last_ms), sa.func.max(_LETTERS.c.last_ms)).where(waiting)
            oldest, newest = connection.execute(times).one()
        kept, again = by_state.get(State.KEPT, 0), by_state.get(State.RETRIED, 0)
        return Counts(kept, again, by_reason, by_queue, oldest, newest)


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """Return *wanted* as SQL; ``letters.matches`` says the same."""
    table = _LETTERS.c
    given = [
        (table.queue, wanted.queue),
        (table.task, wanted.task),
        (table.persona, wanted.persona),
        (table.state, wanted.state),
    ]
    conditions = [column == value for column, value in given if value is not None]
    if wanted.reasons:
        conditions.append(table.reason.in_(wanted.reasons))
    if wanted.before_ms is not None:
        conditions.append(table.last_ms < wanted.before_ms)
    if wanted.after_ms is not None:
        conditions.append(table.last_ms > wanted.after_ms)
    return conditions


def _known_as(connection: sa.Connection, letter_id: str) -> str | None:
    """Return the letter of this id, or the one that was sent again under it; None: there is none."""
    itself = connection.scalar(sa.select(_LETTERS.c.id).where(_LETTERS.c.id == letter_id))
    if itself is not None:
        return str(itself)
    return connection.scalar(sa.select(_RETRIES.c.letter).where(_RETRIES.c.becomes == letter_id))


def _locked(connection: sa.Connection, letter_id: str) -> KeptLetter:
    """Return the row, which nobody else changes before this transaction ends."""
    query = sa.select(*_SHOWN).where(_LETTERS.c.id == letter_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NoSuchLetter(letter_id)
    return _letter(row)


def _write(connection: sa.Connection, letter: KeptLetter) -> None:
    connection.execute(sa.update(_LETTERS).where(_LETTERS.c.id == letter.id).values(_row(letter)))


def _row(letter: KeptLetter) -> dict[str, Any]:
    texts = {"job_ids": _to_json(letter.job_ids).decode(), "story": _to_json(letter.story).decode()}
    return {**msgspec.structs.asdict(letter), **texts}


def _letter(row: sa.Row[Any]) -> KeptLetter:
    fields = dict(zip(_NAMES, row, strict=True))
    lists = {"job_ids": _job_ids(fields["job_ids"]), "story": _story(fields["story"])}
    if fields["reason"] not in _REASONS:
        fields["reason"] = Reason.INTERNAL.value  # a later version knows it
    return msgspec.convert({**fields, **lists}, KeptLetter)


def _pairs(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, int]:
    return {str(name): int(number) for name, number in connection.execute(query)}
