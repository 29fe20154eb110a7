"""What docs/notifications.md holds that is made from the code: settings, routes, and examples of messages.

python -m tests.support.notice_docs   # writes them into the page, and draws the pictures of mail
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.notices import NOW_S, alert, notice
from workers.monitoring.alerts.alert import LEVELS, Alert, Notice
from workers.monitoring.notices.channels.mail import bodies, mail_of
from workers.monitoring.notices.channels.pagerduty import pagerduty_events
from workers.monitoring.notices.channels.sentry import sentry_events
from workers.monitoring.notices.channels.slack import slack_payload
from workers.monitoring.notices.digest import Figure, Silenced
from workers.monitoring.notices.digesting import digest_of
from workers.monitoring.notices.message import Links, compose
from workers.monitoring.notices.outbox import Tally
from workers.monitoring.notices.routing import ROUTES
from workers.monitoring.notices.settings import ChannelSettings, SentrySettings
from workers.monitoring.notices.trying import LIMITS, SUMMED_UP

PAGE = Path(__file__).parents[2] / "docs" / "notifications.md"
IMAGES = PAGE.parent / "images"
LINKS = Links("https://ion.example.com", "https://docs.example.com/operating.md")
_CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


def with_generated(page: str) -> str:
    """Return *page* with everything between its marks as it is to be."""
    for name, text in _parts().items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, mark, rest = page.partition(begin)
        assert mark, f"there is no {name}"
        page = f"{before}{begin}{text.rstrip()}\n{end}{rest.partition(end)[2]}"
    return page


def _parts() -> dict[str, str]:
    event = next(pagerduty_events(notice(), LINKS, "production"))
    mail = mail_of(notice(), LINKS)
    body = bodies(notice(), LINKS).text
    return {
        "routes": "\n".join(_routes()),
        "settings": "\n".join(_settings()),
        "slack": _json(_short(slack_payload(compose(notice(), LINKS), "@oncall"))),
        "pagerduty": _json({"routing_key": "...", **event}),
        "mail": f"```\nSubject: {mail['Subject']}\n\n{body}```",
        "sentry": _json(_plain(sentry_events(notice())[0])),
        "digest": f"```\n{bodies(day(), LINKS).text}```",
    }


def _routes() -> Iterator[str]:
    yield "| channel | " + " | ".join(LEVELS) + " | at most | beyond that |"
    yield "|---|" + "---|" * (len(LEVELS) + 2)
    for name, limit in LIMITS.items():
        levels = ("yes" if name in ROUTES[level] else "" for level in LEVELS)
        beyond = "one message that counts the rest" if name in SUMMED_UP else "the next minute"
        yield f"| `{name}` | {' | '.join(levels)} | {limit} a minute | {beyond} |"


def _settings() -> Iterator[str]:
    yield "| variable | default | |"
    yield "|---|---|---|"
    for settings, prefix in ((ChannelSettings, "ION_ALERT_"), (SentrySettings, "ION_")):
        for name, field in settings.model_fields.items():
            default = "" if field.default is None or field.default == "" else f"`{field.default}`"
            yield f"| `{prefix}{name.upper()}` | {default} | {field.description or ''} |"


def _short(payload: dict[str, Any]) -> dict[str, Any]:
    """Return *payload* with one field of its list, and one button, which are enough to see what they are."""
    for block in payload["blocks"]:
        for part in ("fields", "elements"):
            if part in block:
                block[part] = [*block[part][:2]]
    return payload


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "timestamp": event["timestamp"].isoformat()}


def _json(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def day() -> Notice:
    """Return the digest of a day on which two things went wrong."""
    figures = (
        Figure(name="Availability", unit="%", value=99.912, before=99.99),
        Figure(name="Error rate", unit="%", value=0.09, before=0.02, lower_is_better=True),
        Figure(name="Response time, p95", unit="ms", value=48.2, before=47.6, lower_is_better=True),
        Figure(name="Throughput", unit="jobs/s", value=1_423.2, before=1_388.0),
        Figure(name="Cache hit rate", unit="%", value=82.4, before=81.2),
    )
    return digest_of(
        _alerts(),
        figures,
        [
            Silenced(
                what="rule database_lag", until_s=NOW_S + 7_200, by="mina", why="the copy in asia is rebuilt"
            )
        ],
        {
            "email": Tally(sent=2),
            "pagerduty": Tally(sent=2, failed=1, why="status 400: Event object is invalid"),
            "slack": Tally(sent=5, merged=2),
        },
        NOW_S,
        "digest-2026-11-22",
    )


def _alerts() -> list[Alert]:
    ended_s = NOW_S - 4 * 3_600
    return [
        alert(
            state="resolved", since_s=ended_s - 4_400, fired_s=ended_s - 4_280, resolved_s=ended_s,
            escalations=1, escalated_s=ended_s - 2_400, acknowledged_s=ended_s - 2_000,
        ),
        alert(
            id="b", rule="cache_hit_rate", level="medium", labels={}, collection="cache_hit_rate",
            how="share", value=61.2, unit="%", comparison="below", threshold=70.0, since_s=NOW_S - 3_000,
            fired_s=NOW_S - 2_800,
        ),
    ]  # fmt: skip


def draw() -> None:
    """Draw what mail looks like: an alert in the light, the digest in the dark and as wide as a phone."""
    _picture("mail-alert.png", bodies(notice(), LINKS).html, (720, 600), dark=False)
    _picture("mail-digest.png", bodies(day(), LINKS).html, (720, 1_110), dark=False)
    _picture("mail-digest-dark.png", bodies(day(), LINKS).html, (500, 1_250), dark=True)


def _picture(name: str, html: str, size: tuple[int, int], *, dark: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "mail.html")
        file.write_text(html, encoding="utf-8")
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        options = [f"--user-data-dir={place}", f"--window-size={size[0]},{size[1]}", *scheme]
        shot = f"--screenshot={IMAGES / name}"
        command = [*_CHROMIUM, *options, shot, file.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    PAGE.write_text(with_generated(PAGE.read_text("utf-8")), encoding="utf-8")
    draw()
