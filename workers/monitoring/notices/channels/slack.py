"""Slack, by an incoming webhook: blocks for people, a line of text for notifications.

Errors:  ChannelError.
Source:  docs.slack.dev: "Sending messages using incoming webhooks" (errors are words in the body),
         "Formatting message text" (what is escaped), "Blocks" (their limits).
"""

from typing import Any

import msgspec

from workers.monitoring.alerts.alert import Notice
from workers.monitoring.notices.channels.posting import Poster
from workers.monitoring.notices.message import Item, Links, Message, compose

_MOST_HEADER = 150  # characters
_MOST_SECTION = 3_000
_MOST_FIELDS = 10
_MOST_BUTTON_URL = 3_000
_JSON = {"Content-Type": "application/json; charset=utf-8"}


class SlackChannel:
    """Posts to the webhook of *poster*; critical notices mention *oncall*."""

    def __init__(self, poster: Poster, links: Links, oncall: str) -> None:
        self._poster, self._links, self._oncall = poster, links, oncall

    def send(self, notice: Notice) -> None:
        """Send *notice*."""
        self._poster.post(
            msgspec.json.encode(slack_payload(compose(notice, self._links), self._oncall)), _JSON
        )


def slack_payload(message: Message, oncall: str) -> dict[str, Any]:
    """Return what the webhook is given for *message*."""
    notice = message.notice
    news = notice.kind in ("fired", "escalated", "summary")
    loud = news and any(alert.level == "critical" and alert.state == "firing" for alert in notice.alerts)
    title = f"{message.mark} {message.title}"
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title[:_MOST_HEADER])}]
    if loud:
        waits = "nobody has taken this on" if notice.kind == "escalated" else "this is critical"
        blocks.append(_section(f"{oncall} {waits}"))
    if message.said and message.said not in message.title:
        blocks.append(_section(escaped(message.said)))
    for item in message.items:
        blocks += _item_blocks(item, alone=len(message.items) == 1)
    if message.more:
        blocks.append(_section(f"… and {message.more} more: `ion alerts list`"))
    text = escaped(title) if not loud else f"{oncall} {escaped(title)}"
    return {"text": text[:_MOST_SECTION], "blocks": blocks, "link_names": True}


def escaped(text: str) -> str:
    """Return *text* so that Slack shows it as it is: no links, no mentions of people or channels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u2060")


def _item_blocks(item: Item, *, alone: bool) -> list[dict[str, Any]]:
    heading = f"*{escaped(item.heading)}*"
    lines = "\n".join(line for line in (heading, escaped(item.said)) if line)
    blocks: list[dict[str, Any]] = [{"type": "divider"}] if not alone else []
    blocks.append(_section(lines))
    fields = [_mrkdwn(f"*{escaped(name)}*\n{escaped(value)}") for name, value in item.facts[:_MOST_FIELDS]]
    blocks.append({"type": "section", "fields": fields})
    if item.links:
        buttons = [
            {
                "type": "button",
                "text": _plain(name),
                "url": url,
                "action_id": f"{name.lower()}-{item.alert.id}",
            }
            for name, url in item.links
            if len(url) <= _MOST_BUTTON_URL
        ]
        blocks.append({"type": "actions", "elements": buttons})
    if item.hint:
        blocks.append({"type": "context", "elements": [_mrkdwn(f"`{escaped(item.hint)}`")]})
    return blocks


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text[:2_000]}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_MOST_SECTION]}}
