"""What notices look like on each channel, also when labels are hostile."""

import json
from typing import Any

import jsonschema
import pytest

from tests.support import notice_schemas
from tests.support.notices import HOSTILE, NOW_S, alert, notice
from workers.monitoring.alerts.alert import Alert, Notice, NoticeKind
from workers.monitoring.notices import wording
from workers.monitoring.notices.channels.mail import bodies, mail_of
from workers.monitoring.notices.channels.pagerduty import pagerduty_events
from workers.monitoring.notices.channels.sentry import sentry_events
from workers.monitoring.notices.channels.slack import slack_payload
from workers.monitoring.notices.message import Links, compose

LINKS = Links("https://ion.example.com", "https://docs.example.com/operating.md")
KINDS: tuple[NoticeKind, ...] = ("fired", "escalated", "acknowledged", "resolved", "summary", "test")
HOSTILE_ALERT = alert(
    rule=HOSTILE, labels={HOSTILE: HOSTILE, "region": HOSTILE}, said=HOSTILE, about=HOSTILE, unit=HOSTILE,
    collection=HOSTILE, along=(HOSTILE,), acknowledged_by=HOSTILE, acknowledged_s=NOW_S,
)  # fmt: skip


def slack(given: Notice, links: Links = LINKS) -> dict[str, Any]:
    payload = slack_payload(compose(given, links), "@oncall")
    jsonschema.Draft202012Validator(notice_schemas.SLACK).validate(payload)
    return payload


def pagerduty(given: Notice) -> list[dict[str, Any]]:
    events = [{"routing_key": "0" * 32, **event} for event in pagerduty_events(given, LINKS, "production")]
    for event in events:
        jsonschema.Draft202012Validator(notice_schemas.PAGERDUTY).validate(event)
    return events


def test_slack_is_told_value_threshold_window_region_and_since() -> None:
    payload = slack(notice())
    fields = payload["blocks"][3]["fields"]
    assert [field["text"] for field in fields] == [
        "*Value*\n231.4 ms",
        "*Threshold*\nabove 200 ms",
        "*Figure*\np95 of response_time over 5 min",
        "*Since*\n2026-11-22 01:26:00 UTC",
        "*Region*\neu",
        "*Along with*\nqueue_latency",
    ]
    assert [button["url"] for button in payload["blocks"][4]["elements"]] == [
        "https://ion.example.com/dashboards/performance",
        "https://docs.example.com/operating.md#response_time_critical",
    ]
    assert "ion alerts ack 5f2c9a0b11de" in json.dumps(payload["blocks"])


@pytest.mark.parametrize(
    ("given", "loud"),
    [
        (notice("fired"), True),
        (notice("escalated"), True),
        (notice("summary", alert(level="low"), alert(id="b")), True),
        (notice("resolved"), False),
        (notice("fired", alert(level="high")), False),
        (notice("summary", alert(state="resolved")), False),
    ],
    ids=["fired", "escalated", "one of many", "resolved", "high", "many that ended"],
)
def test_only_what_is_critical_now_calls_whoever_is_on_call(given: Notice, *, loud: bool) -> None:
    assert ("@oncall" in json.dumps(slack(given))) is loud


def test_a_hundred_alerts_still_fit_into_one_message() -> None:
    many = notice("fired", *(alert(id=f"a{number}", level="high") for number in range(100)))
    payload = slack(many)
    assert "92 more" in payload["blocks"][-1]["text"]["text"]
    assert "100 alerts" in payload["text"]


def test_without_links_there_are_no_buttons() -> None:
    assert all(block["type"] != "actions" for block in slack(notice(), Links())["blocks"])


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_reach_slack_as_text(kind: NoticeKind) -> None:
    said = json.dumps(slack(notice(kind, HOSTILE_ALERT)), ensure_ascii=False)
    header = slack(notice(kind, HOSTILE_ALERT))["blocks"][0]["text"]
    assert header["type"] == "plain_text"  # where nothing is markup
    said = said.replace(json.dumps(header["text"], ensure_ascii=False), "")
    for harm in ("<!channel>", "<@U1>", "@here", "<script>", "\x1b", "\u202e"):
        assert harm not in said


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_reach_mail_as_text(kind: NoticeKind) -> None:
    given = notice(kind, HOSTILE_ALERT, HOSTILE_ALERT, said=HOSTILE)
    mail = mail_of(given, LINKS)
    mail["From"], mail["To"] = "ion@example.com", "ops@example.com"
    head = mail.as_bytes().partition(b"\r\n\r\n")[0]
    assert b"\r\nbcc:" not in head.lower()
    body = bodies(given, LINKS)
    assert "<script>" not in body.html
    assert "&lt;script&gt;" in body.html
    assert "\x1b" not in body.text + body.html


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_reach_pagerduty_and_sentry_as_text(kind: NoticeKind) -> None:
    said = json.dumps(pagerduty(notice(kind, HOSTILE_ALERT)))
    assert "\\r\\n" not in said
    assert "\\u001b" not in said
    events = sentry_events(notice(kind, HOSTILE_ALERT))
    assert all("\n" not in value for event in events for value in event["tags"].values())


def test_pagerduty_opens_and_closes_one_incident_by_the_alerts_id() -> None:
    (trigger,) = pagerduty(notice("fired"))
    assert trigger["event_action"] == "trigger"
    assert trigger["dedup_key"] == "5f2c9a0b11de"
    assert trigger["payload"]["severity"] == "critical"
    assert trigger["payload"]["summary"] == ("critical: response_time_critical in eu: 231.4 ms, above 200 ms")
    assert trigger["payload"]["timestamp"] == "2026-11-22T01:26:00.000+00:00"
    for kind, action in (("acknowledged", "acknowledge"), ("resolved", "resolve")):
        (event,) = pagerduty(notice(kind))  # type: ignore[arg-type]
        assert (event["event_action"], event["dedup_key"]) == (action, "5f2c9a0b11de")


def test_an_escalation_pages_again_and_ends_with_its_alert() -> None:
    """PagerDuty pages nobody for an event whose key has an open incident, so it needs a key of its own."""
    escalated = alert(escalations=1, escalated_s=NOW_S, fired_s=NOW_S - 1_800)
    (trigger,) = pagerduty(notice("escalated", escalated))
    assert trigger["dedup_key"] == "5f2c9a0b11de-escalated"
    assert "nobody has acknowledged this for 30 min" in trigger["payload"]["summary"]
    assert [event["dedup_key"] for event in pagerduty(notice("resolved", escalated))] == [
        "5f2c9a0b11de",
        "5f2c9a0b11de-escalated",
    ]


@pytest.mark.parametrize(
    ("level", "severity"),
    [("critical", "critical"), ("high", "error"), ("medium", "warning"), ("low", "info")],
)
def test_levels_are_pagerdutys_severities(level: str, severity: str) -> None:
    assert pagerduty(notice("fired", alert(level=level)))[0]["payload"]["severity"] == severity


def test_a_test_leaves_no_incident_open() -> None:
    actions = [event["event_action"] for event in pagerduty(notice("test", id="t1"))[:2]]
    assert actions == ["trigger", "resolve"]


def test_sentry_groups_by_rule_and_an_end_does_not_look_like_a_relapse() -> None:
    (fired,) = sentry_events(notice("fired"))
    (resolved,) = sentry_events(notice("resolved", alert(state="resolved", resolved_s=NOW_S)))
    assert fired["fingerprint"] == ["ion-alerts", "response_time_critical", "firing"]
    assert (fired["level"], resolved["level"]) == ("fatal", "info")
    assert fired["fingerprint"] != resolved["fingerprint"]
    assert fired["tags"]["ion.region"] == "eu"


def test_mail_on_one_alert_is_one_thread_and_says_that_no_person_wrote_it() -> None:
    fired = mail_of(notice("fired"), LINKS)
    resolved = mail_of(notice("resolved", alert(state="resolved", resolved_s=NOW_S)), LINKS)
    assert fired["References"] == resolved["References"]
    assert fired["Message-ID"] != resolved["Message-ID"]
    assert fired["Auto-Submitted"] == "auto-generated"
    assert fired["Subject"] == "[ION] Firing: critical response_time_critical in eu: 231.4 ms, above 200 ms"
    assert resolved["Subject"] == "[ION] Resolved: critical response_time_critical in eu, after 4 min"
    assert [part.get_content_type() for part in fired.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "ms", "no data"),
        (float("nan"), "ms", "no data"),
        (99.9312, "%", "99.93 %"),
        (0.0, "%", "0 %"),
        (12_345.6, "ms", "12,346 ms"),
        (-3.25, "s", "-3.25 s"),
    ],
)
def test_figures_are_short(value: float | None, unit: str, shown: str) -> None:
    assert wording.figure(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (59, "59 s"), (300, "5 min"), (125, "2 min 5 s"), (5_400, "1 h 30 min"), (200_000, "2 d")],
)
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert wording.lasting(seconds) == shown


def test_what_is_not_measured_any_more_is_told_so() -> None:
    silent: Alert = alert(cause="absence", value=None)
    assert wording.title(notice("fired", silent)).endswith("in eu: not measured any more")
