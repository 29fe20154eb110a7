"""What the doctor checks of periodic work: who leads, and when each entry last had its tick.

Units: milliseconds, by the clock of the server that keeps the lead.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producers.cli.collaborators import Check

if TYPE_CHECKING:
    import redis

    from producers.settings import ClientSettings
    from workers.contract.periodic import Periodic

_LATE_PERIODS = 3  # an entry that is not early in its slot may skip one, and a new leader takes a while
_START = "start one with `ion up`, or `celery -A workers.entry beat`"


@dataclass(frozen=True, slots=True)
class BeatNotes:
    """What beats have noted: the leader ("" for none), its epoch, each entry's latest slot: began, sent."""

    now_ms: int
    leader: str
    epoch: int
    ticks: Mapping[str, tuple[int, int]]  # both in ms


def beat_checks(settings: "ClientSettings", reply_url: str) -> Iterator[Check]:
    """Yield the check of the periodic work; nothing when the server is away, which another check tells."""
    import redis  # noqa: PLC0415

    import celeryconfig  # noqa: PLC0415
    from workers.contract.periodic import read_table  # noqa: PLC0415
    from workers.transport.servers import open_redis  # noqa: PLC0415

    patience_s = settings.connect_timeout_s
    with open_redis(reply_url, socket_connect_timeout=patience_s, socket_timeout=patience_s) as server:
        try:
            notes = read_notes(server)
        except (redis.RedisError, OSError):
            return  # told by the check of the reply store
    yield beat_check(notes, read_table(celeryconfig.beat_schedule))


def read_notes(server: "redis.Redis") -> BeatNotes:
    """Return what beats have noted on *server*; raise redis.RedisError when it is away."""
    from workers.contract import names  # noqa: PLC0415

    with server.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.get(names.BEAT_LEAD)
        pipe.hgetall(names.BEAT_SLOTS)
        (seconds, microseconds), lead, slots = pipe.execute()
    epoch, _, owner = (lead or b"0 ").decode().partition(" ")
    return BeatNotes(
        now_ms=seconds * 1000 + microseconds // 1000,
        leader=owner.rpartition(":")[0],  # without what tells it from others of its process id
        epoch=int(epoch),
        ticks={entry.decode(): _tick(note) for entry, note in slots.items()},
    )


def beat_check(notes: BeatNotes, entries: Sequence["Periodic"]) -> Check:
    """Check that somebody leads, and that no entry is late or ahead of the clock."""
    told = ", ".join(f"{entry.name} {_ago(notes, entry.name)}" for entry in entries)
    if not notes.leader:
        return Check("beat", "warn", f"none leads, so nothing runs by itself: {told}", _START)
    found = f"{notes.leader} leads, epoch {notes.epoch}; {told}"
    ticks = [(entry, notes.ticks[entry.name]) for entry in entries if entry.name in notes.ticks]
    ahead = [entry.name for entry, (begun_ms, _) in ticks if begun_ms > notes.now_ms]
    if ahead:
        fix = "was the server's clock set back?  If so: DEL 'ion:{beat}:slots' there, and restart every beat"
        return Check("beat", "warn", f"{found}; ahead of the clock: {', '.join(ahead)}", fix)
    late = [
        entry.name
        for entry, (_, sent_ms) in ticks
        if notes.now_ms - sent_ms > _LATE_PERIODS * entry.period_ms
    ]
    if late:
        return Check("beat", "warn", f"{found}; late: {', '.join(late)}", "look at the log of that beat")
    return Check("beat", "ok", found)


def _tick(note: bytes) -> tuple[int, int]:
    begun_ms, _, sent_ms = note.partition(b" ")
    return int(begun_ms), int(sent_ms)


def _ago(notes: BeatNotes, entry: str) -> str:
    if entry not in notes.ticks:
        return "never yet"
    seconds = max(0, notes.now_ms - notes.ticks[entry][1]) // 1000
    return f"{seconds:,} s ago"
