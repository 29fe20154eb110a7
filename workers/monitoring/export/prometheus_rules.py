"""The alert rules as a rule file of Prometheus.

A figure that rules judge is recorded once, in the unit of its collection, so that thresholds are those of
the rules.  What is judged every minute three times in a row before it is an alert is, there, an alert that
has to hold for two minutes.  Absence becomes a second alert of the same name with ``cause: absence``; what
Prometheus cannot express, correlation, is left out, and said.

Units:  seconds.
Source: prometheus.io/docs/prometheus/latest/configuration/alerting_rules; 2.42 or later.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from workers.monitoring.alerts.alert import LEVELS
from workers.monitoring.alerts.rule import Anomaly, Correlation, Rule, Trend
from workers.monitoring.export.promql import cases, counted, duration, present, promql
from workers.monitoring.export.yaml_text import Value
from workers.monitoring.history import FINE_S
from workers.monitoring.metrics import Kind
from workers.monitoring.notices.routing import ROUTES

RUNBOOKS = "docs/operating.md"
GONE = "IonMetricsGone"
GONE_AFTER_S = 180
_SIGNS = {"above": ">", "below": "<"}


@dataclass(frozen=True, slots=True)
class Options:
    """*runbooks*: where docs/operating.md is read.  *faster*: by what windows and patience are divided."""

    runbooks: str = RUNBOOKS
    faster: float = 1


def rule_file(rules: Iterable[Rule], options: Options) -> Mapping[str, Value]:
    """Return the file's document: groups by how often they are judged, and one for when nothing is there."""
    groups: dict[float, list[Rule]] = {}
    for rule in rules:
        if not isinstance(rule.detection, Correlation):
            groups.setdefault(rule.every_s, []).append(rule)
    judged: list[Value] = [
        _group(f"ion-{duration(every_s)}", every_s, _entries(some, options), options)
        for every_s, some in sorted(groups.items())
    ]
    return {"groups": [*judged, _group("ion-gone", 20, [_gone(options)], options)]}


def left_out(rules: Iterable[Rule]) -> list[str]:
    """Return the names of the rules that Prometheus cannot judge."""
    return [rule.name for rule in rules if isinstance(rule.detection, Correlation)]


def alert_name(rule: Rule) -> str:
    """Return what Prometheus calls the alert."""
    return "Ion" + "".join(part.capitalize() for part in rule.name.split("_"))


def figure_name(rule: Rule) -> str:
    """Return what the figure that *rule* judges is recorded as: level, what, and how."""
    level = "_".join(rule.by) or "fleet"
    what = "_".join((rule.collection, *rule.where.values()))
    return f"{level}:ion_{what}:{rule.made}_{duration(rule.window_s)}"


def _group(name: str, every_s: float, entries: Iterable[Value], options: Options) -> Value:
    return {"name": name, "interval": duration(every_s / options.faster), "rules": list(entries)}


def _entries(rules: list[Rule], options: Options) -> Iterator[Value]:
    """Yield what is recorded, and then the alerts, the gravest first."""
    recorded: dict[str, str] = {}
    for rule in rules:
        window_s = rule.window_s / options.faster
        recorded[figure_name(rule)] = promql(rule.judges, window_s, rule.by, how=rule.made, where=rule.where)
    for name, expression in recorded.items():
        yield {"record": name, "expr": expression}
    for rule in sorted(rules, key=lambda rule: LEVELS.index(rule.level)):
        if rule.comparison == "above" or rule.threshold > 0:  # nothing is below nothing
            yield _breach(rule, options)
        if rule.absent_s:
            yield _absence(rule, options)


def _breach(rule: Rule, options: Options) -> Value:
    said = (
        f'{_named(rule)} is {{{{ $value | printf "%.4g" }}}} {rule.unit}{_places(rule)}; '
        f"it should not be {rule.comparison} {rule.threshold:g} {rule.unit}."
    )
    return _alert(rule, "breach", _condition(rule, options), said, options)


def _condition(rule: Rule, options: Options) -> str:
    """Return what holds while the rule is broken, and there is enough to judge."""
    window_s, name = rule.window_s / options.faster, figure_name(rule)
    conditions = [f"{name} {_SIGNS[rule.comparison]} {rule.threshold:g}", *_unlike(rule, options)]
    if any(part.metric.kind is not Kind.GAUGE for part in (*rule.judges.of, *rule.judges.per)):
        if rule.least > 1:
            conditions.append(f"{counted(rule.judges, window_s, rule.by, rule.where)} >= {rule.least:g}")
        if rule.least_cases:
            conditions.append(f"{cases(rule.judges, window_s, rule.by, rule.where)} >= {rule.least_cases:g}")
    return "\nand ".join(conditions)


def _unlike(rule: Rule, options: Options) -> Iterator[str]:
    """Yield what the rule's way of detection asks besides."""
    name, way = figure_name(rule), rule.detection
    above = rule.comparison == "above"
    if isinstance(way, Anomaly):
        span = duration(way.baseline_s / options.faster)
        usual = f"avg_over_time({name}[{span}])"
        apart = f"{name} - {usual}" if above else f"{usual} - {name}"
        yield f"{apart} > {way.scores:g} * stddev_over_time({name}[{span}])"
    elif isinstance(way, Trend):
        a_minute = f"{60 if above else -60} * deriv({name}[{duration(way.over_s / options.faster)}])"
        yield f"{a_minute} > {way.per_minute:g}"


def _absence(rule: Rule, options: Options) -> Value:
    """Return the alert that what was measured within hours is not measured any more."""
    before, lately = (
        present(rule.judges, window_s / options.faster, rule.by, rule.where)
        for window_s in (FINE_S, rule.absent_s)
    )
    said = f"{_named(rule)} has not been measured for {duration(rule.absent_s)}{_places(rule)}."
    return _alert(rule, "absence", f"{before}\nunless {lately}", said, options)


def _alert(rule: Rule, cause: str, expression: str, said: str, options: Options) -> Value:
    patience_s = (rule.occurrences - 1) * rule.every_s / options.faster
    patience = {"for": duration(patience_s), "keep_firing_for": duration(patience_s)} if patience_s else {}
    return {
        "alert": alert_name(rule),
        "expr": expression,
        **patience,
        "labels": {
            "severity": rule.level,
            "rule": rule.name,
            "cause": cause,
            "figure": figure_name(rule),
            "channels": ",".join(rule.channels if rule.channels else ROUTES[rule.level]),
            "tags": ",".join(rule.tags),
        },
        "annotations": {
            "summary": rule.about,
            "description": said,
            "runbook_url": f"{options.runbooks}#{rule.name}",
        },
    }


def _gone(options: Options) -> Value:
    """Return the alert that no gateway shows what the fleet measures: none is scraped, or can read it."""
    level = LEVELS[0]
    return {
        "alert": GONE,
        "expr": "absent(ion_gateway_fleet_readable == 1)",
        "for": duration(GONE_AFTER_S / options.faster),
        "labels": {
            "severity": level,
            "rule": "nothing_measured",
            "cause": "absence",
            "channels": ",".join(ROUTES[level]),
            "tags": "monitoring",
        },
        "annotations": {
            "summary": "No gateway shows what the fleet measures, so no other alert can be trusted.",
            "description": f"For {duration(GONE_AFTER_S)} no gateway was scraped that could read its fleet.",
            "runbook_url": f"{options.runbooks}#nothing_measured",
        },
    }


def _named(rule: Rule) -> str:
    return f"{rule.collection} ({rule.made} over {duration(rule.window_s)})"


def _places(rule: Rule) -> str:
    """Return where, as a template."""
    return "".join(f", {label} {{{{ $labels.{label} }}}}" for label in rule.by)
