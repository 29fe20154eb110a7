"""What the documentation of the API says of version 1; docs/migrating-from-v1.md says more."""

V1_GUIDE = """\
Version 1 still works and ends on 31 December 2027. Its responses carry `Deprecation`, `Sunset` and a `Link`
to this page.

| version 1 | version 2 |
|---|---|
| `POST /api/persona/process` | `POST /api/v2/process` |
| `"resonance_key": "tone-pace-intent"` | `"resonance_key": {"tone": …, "pace": …, "intent": …}` |
| an unknown key counts as `calm-medium-learning` | an unknown tone, pace or intent is refused (400) |
| no key counts as `calm-medium-learning`, too | without a key, the text is analysed |
| fields that are not known are ignored | they are refused (400) |
| `content`, `persona_used`, `confidence` | the same, with `routing`, `performance`, `request_id` and more |

To move: send the same `user_input` to the new address, and the key as three fields, or none. For the same
text and key, both versions give the same content.

    POST /api/persona/process
    {"user_input": "How do I split this module?", "resonance_key": "curious-medium-planning"}

becomes

    POST /api/v2/process
    {"user_input": "How do I split this module?",
     "resonance_key": {"tone": "curious", "pace": "medium", "intent": "planning"}}
"""
