"""The tables of alerts, and how their rows are read and written.

Rows hold the whole value as JSON, beside the columns that are asked for.  What a newer version wrote so that
this one cannot read it is passed over.

Units:   milliseconds since the Unix epoch.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workers.monitoring.alerts.alert import Alert
from workers.monitoring.alerts.silences import Silence
from workers.monitoring.alerts.states import Track
from workers.store.metadata import metadata

ALERTS = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("fired_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("resolved_ms", sa.BigInteger, nullable=True),
    sa.Column("alert", sa.Text, nullable=False),  # JSON
)
TRACKS = sa.Table(
    "alert_tracks",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("alert_id", sa.Text, nullable=True),
    sa.Column("track", sa.Text, nullable=False),  # JSON, without its alert
)
SILENCES = sa.Table(
    "alert_silences",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("until_ms", sa.BigInteger, nullable=False, index=True),  # or when it was lifted
    sa.Column("silence", sa.Text, nullable=False),  # JSON
)
EVALUATIONS = sa.Table(  # one row: whoever has it locked may change what is above
    "alert_evaluations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("evaluated_ms", sa.BigInteger, nullable=False),
    sa.Column("tidied_ms", sa.BigInteger, nullable=False),
    sa.Column("judged", sa.Text, nullable=False),  # JSON: rule -> seconds since the Unix epoch
)

INSERT: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

_Value = TypeVar("_Value")


def read(text: str, kind: type[_Value]) -> _Value | None:
    """Return the value of a row; None: it cannot be read."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        return None


def written(value: object) -> str:
    """Return *value* as a row holds it."""
    return msgspec.json.encode(value).decode()


def alert_row(alert: Alert) -> dict[str, Any]:
    """Return the row of *alert*."""
    return {
        "id": alert.id,
        "rule": alert.rule,
        "level": alert.level,
        "state": alert.state,
        "fired_ms": _ms(alert.fired_s),
        "resolved_ms": None if alert.resolved_s is None else _ms(alert.resolved_s),
        "alert": written(alert),
    }


def track_row(track: Track) -> dict[str, Any]:
    """Return the row of *track*; its alert has one of its own."""
    return {
        "key": track.key,
        "rule": track.rule,
        "alert_id": None if track.alert is None else track.alert.id,
        "track": written(msgspec.structs.replace(track, alert=None)),
    }


def silence_row(silence: Silence) -> dict[str, Any]:
    """Return the row of *silence*."""
    until_s = silence.until_s if silence.ended_s is None else min(silence.until_s, silence.ended_s)
    return {"id": silence.id, "until_ms": _ms(until_s), "silence": written(silence)}


def put(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    """Insert *row*, or change the one that has its key."""
    (key,) = table.primary_key.columns
    insert = INSERT[connection.dialect.name](table).values(row)
    changed = {name: insert.excluded[name] for name in row if name != key.name}
    connection.execute(insert.on_conflict_do_update(index_elements=[key], set_=changed))


def _ms(at_s: float) -> int:
    return int(at_s * 1000)
