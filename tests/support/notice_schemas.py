"""What Slack and PagerDuty take, as JSON Schema, written after their public documentation.

Source:  docs.slack.dev, "Reference: Block Kit blocks" and "Incoming webhooks"; developer.pagerduty.com,
         "Send an Alert Event" (Events API v2) and "PagerDuty Common Event Format (PD-CEF)".
"""

from typing import Any


def _text(kind: str, most: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "text"],
        "properties": {
            "type": {"const": kind},
            "text": {"type": "string", "minLength": 1, "maxLength": most},
            **more,
        },
        "additionalProperties": False,
    }


_EMOJI = {"type": "boolean"}
_TEXT = {"oneOf": [_text("plain_text", 3_000, emoji=_EMOJI), _text("mrkdwn", 3_000)]}
_BUTTON = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"const": "button"},
        "text": _text("plain_text", 75, emoji=_EMOJI),
        "action_id": {"type": "string", "maxLength": 255},
        "url": {"type": "string", "maxLength": 3_000, "pattern": "^https?://"},
        "style": {"enum": ["primary", "danger"]},
    },
    "additionalProperties": False,
}


def _block(kind: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", *required],
        "properties": {
            "type": {"const": kind},
            "block_id": {"type": "string", "maxLength": 255},
            **properties,
        },
        "additionalProperties": False,
    }


_FIELDS = {"type": "array", "minItems": 1, "maxItems": 10, "items": _text("mrkdwn", 2_000)}

SLACK: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 40_000},
        "link_names": {"type": "boolean"},
        "blocks": {
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "oneOf": [
                    _block("header", ["text"], text=_text("plain_text", 150, emoji=_EMOJI)),
                    _block("divider", []),
                    {
                        **_block(
                            "section",
                            [],
                            text=_TEXT,
                            fields={
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 10,
                                "items": _text("mrkdwn", 2_000),
                            },
                        ),
                        "anyOf": [{"required": ["text"]}, {"required": ["fields"]}],
                    },
                    _block(
                        "actions",
                        ["elements"],
                        elements={"type": "array", "minItems": 1, "maxItems": 25, "items": _BUTTON},
                    ),
                    _block(
                        "context",
                        ["elements"],
                        elements={"type": "array", "minItems": 1, "maxItems": 10, "items": _TEXT},
                    ),
                ]
            },
        },
    },
    "additionalProperties": False,
}

PAGERDUTY: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["routing_key", "event_action"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": {"type": "string"},
        "client_url": {"type": "string", "pattern": "^https?://"},
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href"],
                "properties": {
                    "href": {"type": "string", "pattern": "^https?://"},
                    "text": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
        "images": {"type": "array"},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1_024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {
                    "type": "string",
                    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$",
                },
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"], "not": {"required": ["payload"]}},
}
