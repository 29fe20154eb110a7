"""The files that are exported, whole: what they say of themselves, and their document."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workers.monitoring.alerts.rule import Rule
from workers.monitoring.export.alertmanager import Receivers, alertmanager_config
from workers.monitoring.export.prometheus_rules import Options, left_out, rule_file
from workers.monitoring.export.yaml_text import Value, yaml_text

_RULES = """\
# The alert rules for Prometheus 2.42 or later, written by `ion alerts export prometheus`: do not change them
# here, but where they come from (docs/alerts.md), and export them again.
"""
_LEFT_OUT = "# Prometheus cannot judge what correlates, so these are left out: {names}.\n"
_ALERTMANAGER = """\
# Who is told of which alert, for Alertmanager 0.25 or later, written by `ion alerts export alertmanager`.
# Secrets stand in the files that it names; docs/prometheus.md says the rest.
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file: what it says of itself at its head, and its document."""

    head: str
    document: Mapping[str, Value]

    @property
    def text(self) -> str:
        """The file as YAML."""
        return self.head + yaml_text(self.document)


def prometheus_file(rules: Iterable[Rule], options: Options) -> Exported:
    """Return the rule file for *rules*."""
    rules = list(rules)
    names = left_out(rules)
    said = _LEFT_OUT.format(names=", ".join(names)) if names else ""
    return Exported(_RULES + said, rule_file(rules, options))


def alertmanager_file(rules: Iterable[Rule], to: Receivers, *, faster: float = 1) -> Exported:
    """Return the configuration that tells *to* of *rules*; beyond 1, *faster* makes nobody wait."""
    return Exported(_ALERTMANAGER, alertmanager_config(rules, to, faster=faster))
