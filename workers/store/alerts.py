"""Alerts in the database, with what is known of each rule, silences, and when rules were judged.

One row is locked by whoever changes any of it, so that judgements, acknowledgements and silences come one
after the other, wherever they are made; a worker that is killed amid them has changed nothing.

Units:   seconds since the Unix epoch here, milliseconds in the tables.
Errors:  StoreUnavailable from every method.
"""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from workers.monitoring.alerts.alert import Alert, Level, Notice
from workers.monitoring.alerts.silences import Silence
from workers.monitoring.alerts.states import Track
from workers.store import outbox
from workers.store.alert_tables import (
    ALERTS,
    EVALUATIONS,
    INSERT,
    SILENCES,
    TRACKS,
    alert_row,
    put,
    read,
    silence_row,
    track_row,
    written,
)
from workers.store.engine import Store

KEPT_S = 90 * 24 * 3_600  # resolved alerts and silences that are over are kept so long
_TIDY_EVERY_S = 3_600
_PORTION = 500  # rows deleted at once
_ONLY = 1  # the id of the one row

_pack = msgspec.msgpack.Encoder().encode  # as workers.monitoring.notices.notifier reads it


@dataclass(slots=True)
class Evaluation:
    """What is known when an evaluation begins; what it has become is written when the block ends well.

    *judged*: when, by rule.  *forgotten*: tracks that need not be remembered; their alerts are kept.
    """

    judged: dict[str, float]
    tracks: list[Track]
    silences: list[Silence]
    forgotten: list[Track] = field(default_factory=list)
    _notices: list[tuple[Notice, Collection[str]]] = field(default_factory=list)

    def tell(self, notice: Notice, channels: Collection[str]) -> None:
        """Put *notice* into the outbox for *channels*."""
        self._notices.append((notice, channels))


@dataclass(frozen=True, slots=True)
class Known:
    """A look at what is known: when each rule was judged, and the tracks by their keys."""

    judged: dict[str, float]
    tracks: dict[str, Track]


class AlertStore:
    """The alerts in *store*, which belongs to whoever opened it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def known(self) -> Known:
        """Return what is known at present."""
        with self._store.reading() as connection:
            judged = connection.scalar(sa.select(EVALUATIONS.c.judged)) or "{}"
            return Known(_judged(judged), {track.key: track for track in _tracks(connection)})

    def evaluated_s(self) -> float | None:
        """Return when rules were last judged, or looked at whether they are due; None: never."""
        with self._store.reading() as connection:
            at_ms = connection.scalar(sa.select(EVALUATIONS.c.evaluated_ms))
        return None if not at_ms else at_ms / 1000

    @contextlib.contextmanager
    def evaluating(self, now_s: float, *, evaluates: bool = True) -> Iterator[Evaluation]:
        """Give what is known, which nobody else changes meanwhile, and keep what becomes of it.

        Without *evaluates*, the moment is not noted as one of an evaluation.
        """
        with self._store.writing() as connection:
            judged, tidied_ms = _locked(connection)
            before = _tracks(connection)
            work = Evaluation(judged, list(before), _silences(connection, now_s))
            yield work
            _keep(connection, before, work.tracks, work.forgotten)
            for notice, channels in work._notices:  # noqa: SLF001 - its other half
                outbox.put(connection, notice.id, int(notice.at_s * 1000), _pack(notice), channels)
            changed: dict[str, object] = {"judged": written(work.judged)}
            if evaluates:
                changed["evaluated_ms"] = int(now_s * 1000)
            if abs(now_s * 1000 - tidied_ms) >= _TIDY_EVERY_S * 1000:
                _tidy(connection, now_s)
                changed["tidied_ms"] = int(now_s * 1000)
            connection.execute(sa.update(EVALUATIONS).values(changed))

    def open_alerts(self) -> list[Alert]:
        """Return the alerts that go on, the latest first."""
        with self._store.reading() as connection:
            return _alerts(connection, sa.select(ALERTS.c.alert).where(ALERTS.c.state != "resolved"))

    def history(
        self, since_s: float, limit: int, rule: str | None = None, level: Level | None = None
    ) -> list[Alert]:
        """Return at most *limit* alerts that fired since then, the latest first, open ones among them."""
        wanted = [ALERTS.c.fired_ms >= int(since_s * 1000)]
        wanted += [
            column == value for column, value in ((ALERTS.c.rule, rule), (ALERTS.c.level, level)) if value
        ]
        with self._store.reading() as connection:
            return _alerts(connection, sa.select(ALERTS.c.alert).where(*wanted).limit(limit))

    def alerts(self, since_s: float) -> list[Alert]:
        """Return the alerts that are open, and those that began or ended since then, the latest first."""
        since_ms = int(since_s * 1000)
        wanted = sa.or_(
            ALERTS.c.state != "resolved", ALERTS.c.fired_ms >= since_ms, ALERTS.c.resolved_ms >= since_ms
        )
        with self._store.reading() as connection:
            return _alerts(connection, sa.select(ALERTS.c.alert).where(wanted))

    def find(self, alert_id: str) -> list[Alert]:
        """Return the alerts whose ids begin with *alert_id*: one, unless it is short or unknown."""
        begins = sa.func.substr(ALERTS.c.id, 1, len(alert_id)) == alert_id
        with self._store.reading() as connection:
            return _alerts(connection, sa.select(ALERTS.c.alert).where(begins).limit(3))

    def acknowledge(self, alert_id: str, by: str, at_s: float) -> Alert | None:
        """Note that *by* has taken the alert on, if it is firing, and return it; None: there is none."""
        with self._store.writing() as connection:
            _locked(connection)
            found = _alerts(connection, sa.select(ALERTS.c.alert).where(ALERTS.c.id == alert_id))
            if not found or found[0].state != "firing":
                return found[0] if found else None
            taken = msgspec.structs.replace(
                found[0], state="acknowledged", acknowledged_by=by, acknowledged_s=at_s
            )
            put(connection, ALERTS, alert_row(taken))
            return taken

    def silence(self, silence: Silence) -> None:
        """Keep *silence*; it counts from the next evaluation on, within seconds."""
        with self._store.writing() as connection:
            _locked(connection)
            put(connection, SILENCES, silence_row(silence))

    def silences(self, since_s: float) -> list[Silence]:
        """Return the silences that were in force at some time since then, the longest lasting first."""
        with self._store.reading() as connection:
            return _silences(connection, since_s)

    def lift(self, silence_id: str, at_s: float) -> Silence | None:
        """End a silence before its time, and return it; None: there is none.  Twice is once."""
        with self._store.writing() as connection:
            _locked(connection)
            text = connection.scalar(sa.select(SILENCES.c.silence).where(SILENCES.c.id == silence_id))
            found = None if text is None else read(text, Silence)
            if found is None or not found.holds(at_s):
                return found
            lifted = msgspec.structs.replace(found, ended_s=at_s)
            put(connection, SILENCES, silence_row(lifted))
            return lifted


def _locked(connection: sa.Connection) -> tuple[dict[str, float], int]:
    """Lock the one row, made if it is missing, until the transaction ends; return what it holds."""
    query = sa.select(EVALUATIONS.c.judged, EVALUATIONS.c.tidied_ms).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        new = {"id": _ONLY, "evaluated_ms": 0, "tidied_ms": 0, "judged": "{}"}
        connection.execute(INSERT[connection.dialect.name](EVALUATIONS).values(new).on_conflict_do_nothing())
        row = connection.execute(query).one()
    return _judged(row[0]), int(row[1])


def _judged(text: str) -> dict[str, float]:
    return read(text, dict[str, float]) or {}


def _tracks(connection: sa.Connection) -> list[Track]:
    query = sa.select(TRACKS.c.track, ALERTS.c.alert).join(
        ALERTS, ALERTS.c.id == TRACKS.c.alert_id, isouter=True
    )
    found = []
    for text, alert in connection.execute(query.order_by(TRACKS.c.key)):
        track = read(text, Track)
        if track is not None:
            known = None if alert is None else read(alert, Alert)
            found.append(msgspec.structs.replace(track, alert=known))
    return found


def _keep(connection: sa.Connection, before: list[Track], after: list[Track], forgotten: list[Track]) -> None:
    """Write what has changed."""
    known = {track.key: track for track in before}
    for track in (*after, *forgotten):
        old = known.get(track.key)
        if track.alert is not None and (old is None or old.alert != track.alert):
            put(connection, ALERTS, alert_row(track.alert))
    for track in after:
        if track != known.get(track.key):
            put(connection, TRACKS, track_row(track))
    gone = known.keys() - {track.key for track in after}
    if gone:
        connection.execute(sa.delete(TRACKS).where(TRACKS.c.key.in_(gone)))


def _silences(connection: sa.Connection, since_s: float) -> list[Silence]:
    query = sa.select(SILENCES.c.silence).where(SILENCES.c.until_ms > int(since_s * 1000))
    rows = connection.scalars(query.order_by(SILENCES.c.until_ms.desc(), SILENCES.c.id))
    return [silence for text in rows if (silence := read(text, Silence)) is not None]


def _alerts(connection: sa.Connection, query: sa.Select[Any]) -> list[Alert]:
    rows = connection.scalars(query.order_by(ALERTS.c.fired_ms.desc(), ALERTS.c.id))
    return [alert for text in rows if (alert := read(text, Alert)) is not None]


def _tidy(connection: sa.Connection, now_s: float) -> None:
    """Delete what is older than its time, a portion of it."""
    before_ms = int((now_s - KEPT_S) * 1000)
    for table, ended in ((ALERTS, ALERTS.c.resolved_ms), (SILENCES, SILENCES.c.until_ms)):
        old = sa.select(table.c.id).where(ended < before_ms).limit(_PORTION)
        if table is ALERTS:
            old = old.where(
                ALERTS.c.id.not_in(sa.select(TRACKS.c.alert_id).where(TRACKS.c.alert_id.is_not(None)))
            )
        connection.execute(sa.delete(table).where(table.c.id.in_(old)))
