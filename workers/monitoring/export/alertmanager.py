"""A configuration of Alertmanager that tells the same people of the same alerts.

Each channel has a route of its own, which takes the alerts whose label ``channels`` names it: those of its
level, or those that a rule names itself.  Sentry has no receiver there; a webhook takes its place.
Secrets stand in files of their own, never here.

Source: prometheus.io/docs/alerting/latest/configuration; 0.25 or later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.monitoring.alerts.rule import Rule
from workers.monitoring.export.prometheus_rules import GONE
from workers.monitoring.export.yaml_text import Value
from workers.monitoring.notices.routing import EMAIL, PAGERDUTY, SENTRY, SLACK

_GROUP_WAIT, _GROUP_INTERVAL = "5s", "1m"  # an alert of several regions is one message
_REPEAT, _REPEAT_CRITICAL = "4h", "30m"  # nobody acknowledges there; a silence does as much
_URL = "{{ (index .Alerts 0).Annotations.runbook_url }}"
_TITLE = (
    '{{ if eq .Status "firing" }}{{ .CommonLabels.severity | toUpper }}{{ else }}RESOLVED{{ end }}: '
    "{{ .CommonLabels.rule }}"
)
_TEXT = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n"
    "{{ .Annotations.description }}\n"
    "Runbook: {{ .Annotations.runbook_url }}\n"
    "{{ end }}"
)
_ONCALL = '{{ if and (eq .Status "firing") (eq .CommonLabels.severity "critical") }}%s {{ end }}'
_PAGERDUTY_SEVERITY = (
    '{{ if eq .CommonLabels.severity "critical" }}critical'
    '{{ else if eq .CommonLabels.severity "high" }}error'
    '{{ else if eq .CommonLabels.severity "medium" }}warning{{ else }}info{{ end }}'
)


@dataclass(frozen=True, slots=True)
class Receivers:
    """Where messages go.  *secrets*: a directory with ``slack-webhook-url`` and ``pagerduty-routing-key``."""

    secrets: Path = Path("/etc/alertmanager/secrets")
    slack_oncall: str = "@oncall"
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    smtp: str = "localhost:25"
    smtp_tls: bool = True
    mail_from: str = "ion@localhost"
    mail_to: str = "oncall@localhost"
    webhook_url: str = "http://localhost:9095/alerts"


def alertmanager_config(rules: Iterable[Rule], to: Receivers, *, faster: float = 1) -> Mapping[str, Value]:
    """Return the file's document; *faster*: nobody is made to wait, for trials."""
    groups = sorted({"figure", *(label for rule in rules for label in rule.by)})
    return {
        "global": {
            "resolve_timeout": "5m",
            "smtp_smarthost": to.smtp,
            "smtp_from": to.mail_from,
            "smtp_require_tls": to.smtp_tls,
            "pagerduty_url": to.pagerduty_url,
        },
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "cause"],
            "group_wait": "200ms" if faster > 1 else _GROUP_WAIT,
            "group_interval": "1s" if faster > 1 else _GROUP_INTERVAL,
            "repeat_interval": _REPEAT,
            "routes": [_route(channel) for channel in (PAGERDUTY, SLACK, EMAIL, SENTRY)],
        },
        "inhibit_rules": [
            {  # of the same figure, only the graver alert is told
                "source_matchers": ['severity="critical"', 'cause="breach"'],
                "target_matchers": ['severity=~"high|medium|low"', 'cause="breach"'],
                "equal": list(groups),
            },
            {
                "source_matchers": ['severity="high"', 'cause="breach"'],
                "target_matchers": ['severity=~"medium|low"', 'cause="breach"'],
                "equal": list(groups),
            },
            {  # what cannot be seen is not missing
                "source_matchers": [f'alertname="{GONE}"'],
                "target_matchers": [f'alertname!="{GONE}"', 'cause="absence"'],
            },
        ],
        "receivers": [{"name": "nobody"}, _pagerduty(to), _slack(to), _email(to), _webhook(to)],
    }


def _route(channel: str) -> Value:
    return {
        "receiver": channel,
        "matchers": [f'channels=~"(.+,)?{channel}(,.+)?"'],
        "continue": True,
        "routes": [
            {"receiver": channel, "matchers": ['severity="critical"'], "repeat_interval": _REPEAT_CRITICAL}
        ],
    }


def _pagerduty(to: Receivers) -> Value:
    return {
        "name": PAGERDUTY,
        "pagerduty_configs": [
            {
                "routing_key_file": str(to.secrets / "pagerduty-routing-key"),
                "send_resolved": True,
                "severity": _PAGERDUTY_SEVERITY,
                "class": "{{ .CommonLabels.rule }}",
                "component": "ion-mentoring",
                "description": _TITLE,
                "details": {"what": _TEXT},
                "links": [{"href": _URL, "text": "Runbook"}],
            }
        ],
    }


def _slack(to: Receivers) -> Value:
    return {
        "name": SLACK,
        "slack_configs": [
            {
                "api_url_file": str(to.secrets / "slack-webhook-url"),
                "send_resolved": True,
                "title": _TITLE,
                "title_link": _URL,
                "text": _ONCALL % to.slack_oncall + _TEXT,
                "fallback": _TITLE,
            }
        ],
    }


def _email(to: Receivers) -> Value:
    return {
        "name": EMAIL,
        "email_configs": [
            {
                "to": to.mail_to,
                "send_resolved": True,
                "headers": {"Subject": _TITLE},
                "text": _TEXT,
                "html": "<pre>{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
                '<a href="{{ .Annotations.runbook_url }}">Runbook</a>\n{{ end }}</pre>',
            }
        ],
    }


def _webhook(to: Receivers) -> Value:
    return {
        "name": SENTRY,
        "webhook_configs": [{"url": to.webhook_url, "send_resolved": True}],
    }
