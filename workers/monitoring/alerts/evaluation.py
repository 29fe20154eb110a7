"""Judge the rules that are due, keep what becomes of alerts, and tell people: effects around pure decisions.

Everything is in the database.  A look at the history takes no lock; what follows from it is written in one
transaction, with the notices in the outbox, and only for rules that nobody else has judged meanwhile.  So any
number of workers may evaluate at once, and one that is killed anywhere has changed all or nothing.  Sending
comes after that.

Units:   seconds since the Unix epoch.
Errors:  StoreError from ``evaluate``, when the database is away.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from workers.monitoring.alerts.alert import Notifier
from workers.monitoring.alerts.announcing import announce, escalate
from workers.monitoring.alerts.deadman import RULE as EVALUATION_STOPPED
from workers.monitoring.alerts.looking import Found, Look
from workers.monitoring.alerts.rule import Rule, Rules
from workers.monitoring.alerts.states import Track, due, idle, retired, step
from workers.monitoring.history import Reader
from workers.store.alerts import AlertStore, Evaluation

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AlertEvaluator:
    """Judges *rules* by what *reader* tells; *now_s* reads the wall clock."""

    rules: Rules
    reader: Reader
    store: AlertStore
    notifier: Notifier
    now_s: Callable[[], float]

    def evaluate(self) -> None:
        """Judge what is due and tell people; raise StoreError when the database is away."""
        now_s = self.now_s()
        known = self.store.known()
        look = Look(self.reader, known.tracks, now_s)
        asked = look.askable(due_of(known.judged, self.rules.values(), now_s))
        found = look.at(asked)
        with self.store.evaluating(now_s) as work:
            # unless somebody else has judged a rule just now
            mine = {rule.name for rule in due_of(work.judged, asked, now_s)}
            judged = {name: at_s for name, at_s in work.judged.items() if name in self.rules}
            work.judged = judged | dict.fromkeys(mine, now_s)
            verdicts = [one for one in found if one.rule.name in mine]
            work.tracks = stepped(work.tracks, verdicts, self.rules, now_s)
            self._tell(work, now_s)
        self.notifier.deliver()

    def _tell(self, work: Evaluation, now_s: float) -> None:
        tracks, notices = announce(work.tracks, self.rules, work.silences, now_s)
        alerts = [track.alert for track in tracks if track.alert is not None and track.alert.open]
        tracks, more = escalate(tracks, self.notifier.overdue(alerts, now_s), now_s)
        for notice in (*notices, *more):
            channels = self.notifier.channels(notice)
            work.tell(notice, channels)
            for alert in notice.alerts:
                logger.info("alert %s %s: %s, %s", alert.id, notice.kind, alert.rule, alert.said)
        work.forgotten = [track for track in tracks if idle(self.rules.get(track.rule), track, now_s)]
        work.tracks = [track for track in tracks if track not in work.forgotten]


def due_of(judged: Mapping[str, float], rules: Iterable[Rule], now_s: float) -> list[Rule]:
    """Return those of *rules* that are to be judged now."""
    return [rule for rule in rules if due(rule, judged.get(rule.name), now_s)]


def stepped(tracks: Iterable[Track], found: Iterable[Found], rules: Rules, now_s: float) -> list[Track]:
    """Return the tracks after what was *found*, new ones among them; those without a rule are ended."""
    known: dict[str, Track] = {track.key: track for track in tracks}
    for one in found:
        track = known.get(one.key) or Track(rule=one.rule.name, cause=one.cause, labels=one.labels)
        known[one.key] = _with_along(step(one.rule, track, one.verdict, now_s), track, one)
    return [_still(track, rules, now_s) for track in known.values()]


def _with_along(after: Track, before: Track, found: Found) -> Track:
    if after.alert is None or not after.open or before.open or not found.along:
        return after
    return msgspec.structs.replace(after, alert=msgspec.structs.replace(after.alert, along=found.along))


def _still(track: Track, rules: Mapping[str, Rule], now_s: float) -> Track:
    """Return *track*, its alert ended if its rule is gone; the dead-man's switch has none."""
    if track.rule in rules:
        return track
    back = track.rule == EVALUATION_STOPPED
    return retired(track, now_s, "rules are judged again" if back else "the rule was switched off")
