"""What a rule may say, beyond the types of its fields: pure.

Units:   as the rule's.
Errors:  none; a problem is a value.
"""

import math
import re
from collections.abc import Iterator

from workers.monitoring.alerts.alert import CHANNELS
from workers.monitoring.alerts.rule import Rule
from workers.monitoring.figures import COLLECTIONS, Collection
from workers.monitoring.history import FINE_S, MINUTE_S
from workers.monitoring.metrics import Kind

Problem = tuple[str, str, str]
"""A field, what is wrong with it, and what to write instead."""

_NAME = re.compile(r"[a-z][a-z0-9_]{1,48}")
_TAG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_LONGEST_ABOUT = 200
_MOST_RELATED = 8


def problem_of(rule: Rule) -> Problem | None:
    """Return the first thing that is wrong with *rule*."""
    return next(_problems(rule), None)


def _problems(rule: Rule) -> Iterator[Problem]:
    if not _NAME.fullmatch(rule.name):
        yield "", "is no name of a rule", "use 2 to 49 small letters, digits and _, a letter first"
    if rule.collection not in COLLECTIONS:
        yield _unknown_collection("collection", rule.collection)
        return
    yield from _figure(rule, rule.judges)
    yield from _numbers(rule)
    yield from _words(rule)
    yield from _detection(rule)


def _figure(rule: Rule, collection: Collection) -> Iterator[Problem]:
    may = ", ".join(collection.by) or "none"
    for label in rule.by:
        if label not in collection.by:
            yield "by", f"names {label!r}", f"labels of {rule.collection}: {may}"
    for label in rule.where:
        if label not in collection.by:
            yield "where", f"names {label!r}", f"labels of {rule.collection}: {may}"
    made = rule.made
    if made in ("share", "rest") and not collection.per:
        yield "how", f"is {made!r}, and {rule.collection} is a share of nothing", "use sum, rate or avg"
    sketched = all(part.metric.kind is Kind.DISTRIBUTION for part in collection.of)
    if made.startswith("p") and not sketched:
        yield "how", f"is {made!r}, and {rule.collection} has no percentiles", "use avg or high"


def _numbers(rule: Rule) -> Iterator[Problem]:
    if not math.isfinite(rule.threshold):
        yield "threshold", "is no finite number", "give a number in the unit of the collection"
    if rule.window_s % MINUTE_S or not MINUTE_S <= rule.window_s <= FINE_S:
        yield "window_s", f"is {rule.window_s}", f"give whole minutes in seconds, {MINUTE_S} to {FINE_S}"
    if not 5 <= rule.every_s <= 3_600:
        yield "every_s", f"is {rule.every_s}", "give 5 to 3600 seconds"
    if not 1 <= rule.occurrences <= 100:
        yield "occurrences", f"is {rule.occurrences}", "give 1 to 100"
    if (rule.occurrences - 1) * rule.every_s > rule.window_s:
        yield (
            "occurrences",
            f"{rule.occurrences} judgements each {rule.every_s} s do not fit into {rule.window_s} s",
            "make window_s longer, or every_s shorter",
        )
    yield from _amounts(rule)


def _amounts(rule: Rule) -> Iterator[Problem]:
    if not 0 <= rule.cooldown_s <= 86_400:
        yield "cooldown_s", f"is {rule.cooldown_s}", "give 0 to 86400 seconds"
    for field in ("least", "least_cases"):
        if not 0 <= getattr(rule, field) < math.inf:
            yield field, "is no amount", "give 0 or more"
    if rule.least_cases and rule.made not in ("share", "rest"):
        yield "least_cases", f"means nothing where the figure is {rule.made!r}", "leave it out; use least"
    if rule.absent_s and not 2 * MINUTE_S <= rule.absent_s <= 3_600:
        yield "absent_s", f"is {rule.absent_s}", "give 120 to 3600 seconds, or 0 for never"


def _words(rule: Rule) -> Iterator[Problem]:
    for channel in rule.channels:
        if channel not in CHANNELS:
            yield "channels", f"names {channel!r}", f"there are {', '.join(CHANNELS)}"
    for tag in rule.tags:
        if not _TAG.fullmatch(tag):
            yield "tags", f"holds {tag[:40]!r}", "use 1 to 40 small letters, digits and -"
    if len(rule.about) > _LONGEST_ABOUT or not rule.about.isprintable():
        yield "about", "is no short sentence", f"use up to {_LONGEST_ABOUT} printable characters on one line"
    if len(rule.related) > _MOST_RELATED:
        yield "related", f"names {len(rule.related)} collections", f"name at most {_MOST_RELATED}"
    for name in rule.related:
        if name not in COLLECTIONS:
            yield _unknown_collection("related", name)


def _detection(rule: Rule) -> Iterator[Problem]:
    given = rule.detection
    for field in ("baseline_s", "over_s"):
        span_s = getattr(given, field, None)
        if span_s is not None and (span_s % MINUTE_S or not 5 * MINUTE_S <= span_s <= FINE_S):
            yield f"detection.{field}", f"is {span_s}", f"give whole minutes in seconds, 300 to {FINE_S}"
    for field in ("scores", "per_minute"):
        number = getattr(given, field, None)
        if number is not None and not 0 < number < math.inf:
            yield f"detection.{field}", "is not positive", "give a number above 0"
    least = getattr(given, "least", None)
    if least is not None and not 0 < least <= 1:
        yield "detection.least", f"is {least}", "give more than 0, at most 1"
    other = getattr(given, "other", None)
    if other is not None and other not in COLLECTIONS:
        yield _unknown_collection("detection.with", other)


def _unknown_collection(field: str, name: str) -> Problem:
    return field, f"names {name[:60]!r}", "docs/metrics.md lists the collections"
