"""Alerts and notices to send in tests."""

from typing import Any

from workers.monitoring.alerts.alert import Alert, Notice, NoticeKind

NOW_S = 1_795_311_000.0  # 2026-11-22 01:30:00 UTC
HOSTILE = "<script>alert(1)</script> <!channel> <@U1> @here & *b*\r\nBcc: all@example.com\x1b[31m\u202e"


def alert(**given: Any) -> Alert:
    """Return a critical alert that began four minutes before NOW_S, in eu."""
    fields: dict[str, Any] = {
        "id": "5f2c9a0b11de",
        "rule": "response_time_critical",
        "level": "critical",
        "labels": {"region": "eu"},
        "collection": "response_time",
        "how": "p95",
        "value": 231.4,
        "unit": "ms",
        "comparison": "above",
        "threshold": 200.0,
        "window_s": 300,
        "said": "It was 60 ms an hour ago.",
        "about": "People wait far too long for their answers.",
        "along": ("queue_latency",),
        "since_s": NOW_S - 240,
        "fired_s": NOW_S - 120,
        "seen_s": NOW_S,
        "told_s": NOW_S - 120,
    }
    return Alert(**{**fields, **given})


def notice(kind: NoticeKind = "fired", *alerts: Alert, **given: Any) -> Notice:
    """Return a notice of *alerts*, by default of one."""
    fields: dict[str, Any] = {"id": f"n-{kind}", "at_s": NOW_S, "alerts": alerts or (alert(),)}
    return Notice(kind=kind, **{**fields, **given})
