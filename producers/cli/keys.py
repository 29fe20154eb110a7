"""``ion keys``: who may use the HTTP gateway with an API key."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persona_system.errors import InvalidInput
from producers.cli.dead_filters import age_ms
from producers.cli.report import console, print_json, tell
from producers.roles import LONGEST_SUBJECT, Role, is_subject

if TYPE_CHECKING:
    from workers.store.api_keys import ApiKey

CREATE_EXAMPLES = (
    "ion keys create shop --role service",
    'ion keys create "Mina\'s phone" --role user --user mina --expires 90d',
    "KEY=$(ion keys create ops --role admin)",
)
LIST_EXAMPLES = ("ion keys list", "ion keys list --json")
REVOKE_EXAMPLES = ("ion keys revoke 7fK2mQ9xTb4A",)

_DATE = len("2026-03-01")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def create(
    name: Annotated[str, typer.Argument(help="What it is for: a word for people.")],
    *,
    role: Annotated[
        Role, typer.Option(help="A user's own, an app's that answers for its users, or an operator's.")
    ],
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="The user_id that it acts for, with --role user.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="AGE", help="Good for that long, such as 12h or 90d; else for good.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once: only a digest of it is kept.

    The key goes to standard output, what is said about it does not.
    """
    _check(name, role, user)
    from producers.cli.operator import database, deed, now_ms, when  # noqa: PLC0415
    from workers.store.api_keys import ApiKeyStore, make_key  # noqa: PLC0415
    from workers.store.audit import AuditStore  # noqa: PLC0415

    created_ms = now_ms()
    key, text = make_key(name, role, user, created_ms, _expiry_ms(expires, created_ms))
    target = f"{key.id} {role}" if user is None else f"{key.id} {role} {user}"
    with database(create=True) as store:
        AuditStore(store).append(deed("keys.create", target, created_ms))
        ApiKeyStore(store).add(key)
    if as_json:
        print_json({"key": text, **key_json(key, created_ms)})
        return
    print(text)
    until = f"until {when(key.expires_ms)}" if key.expires_ms is not None else "until it is revoked"
    tell(f"key {key.id}, good {until}; it is shown this once, so keep it now")


def list_keys(*, as_json: Json = False) -> None:
    """Show all keys, the newest first, without their secrets."""
    from producers.cli.operator import database, now_ms  # noqa: PLC0415
    from workers.store.api_keys import ApiKeyStore  # noqa: PLC0415

    with database() as store:
        keys = ApiKeyStore(store).all()
    if as_json:
        print_json({"keys": [key_json(key, now_ms()) for key in keys]})
    else:
        _show(keys, now_ms())


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `ion keys list` shows it.")],
    *,
    as_json: Json = False,
) -> None:
    """Revoke a key for good; every gateway refuses it within 2 seconds."""
    from producers.cli.operator import database, deed, now_ms  # noqa: PLC0415
    from workers.store.api_keys import ApiKeyStore, split_key  # noqa: PLC0415
    from workers.store.audit import AuditStore  # noqa: PLC0415

    if split_key(key_id) is not None:
        raise InvalidInput(
            "ID", "is a whole key", "give its middle part only: a shell remembers what it is given"
        )
    at_ms = now_ms()
    with database() as store:
        keys = ApiKeyStore(store)
        if all(key.id != key_id for key in keys.all()):
            raise InvalidInput("ID", "is that of no key", "`ion keys list` shows them")
        AuditStore(store).append(deed("keys.revoke", key_id, at_ms))
        revoked = keys.revoke(key_id, at_ms)
    assert revoked is not None  # noqa: S101 - keys are never deleted
    if as_json:
        print_json(key_json(revoked, at_ms))
    else:
        console().print(f"{key_id} is revoked", soft_wrap=True)


def key_json(key: "ApiKey", now_ms: int) -> dict[str, Any]:
    """Return *key* as ``--json`` prints it, without its digest; times in UTC."""
    from producers.cli.operator import when  # noqa: PLC0415

    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "subject": key.subject,
        "state": state_of(key, now_ms),
        "created": when(key.created_ms),
        "expires": when(key.expires_ms),
        "revoked": when(key.revoked_ms),
    }


def state_of(key: "ApiKey", now_ms: int) -> str:
    """Return ``good``, ``expired`` or ``revoked``."""
    if key.revoked_ms is not None:
        return "revoked"
    return "expired" if key.expires_ms is not None and key.expires_ms <= now_ms else "good"


def _check(name: str, role: Role, user: str | None) -> None:
    if not is_subject(name):
        raise InvalidInput("NAME", "is no name", f"give 1 to {LONGEST_SUBJECT} printable characters")
    if role == "user" and user is None:
        raise InvalidInput("--user", "is missing", "a key with the role user acts for one user_id: name it")
    if role != "user" and user is not None:
        raise InvalidInput("--user", f"goes with --role user, not with {role}", "leave it out")
    if user is not None and not is_subject(user):
        raise InvalidInput("--user", "is no user_id", f"give 1 to {LONGEST_SUBJECT} printable characters")


def _expiry_ms(expires: str | None, now_ms: int) -> int | None:
    from workers.store.letters import LAST_MS  # noqa: PLC0415

    if expires is None:
        return None
    at_ms = now_ms + age_ms("--expires", expires)
    if not now_ms < at_ms <= LAST_MS:
        raise InvalidInput(
            "--expires", "is no time to come", "give 1s or more, or leave it out for a key for good"
        )
    return at_ms


def _show(keys: "Sequence[ApiKey]", now_ms: int) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.dead_payload import printable  # noqa: PLC0415
    from producers.cli.operator import when  # noqa: PLC0415

    if not keys:
        tell("there are no keys; `ion keys create` makes one")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "name", "role", "acts for", "state", "expires", "created"):
        table.add_column(heading, no_wrap=heading == "id", overflow="fold")
    for key in keys:
        cells = (
            key.id,
            key.name,
            key.role,
            key.subject if key.role == "user" else "itself",
            state_of(key, now_ms),
            (when(key.expires_ms) or "never")[:_DATE],
            (when(key.created_ms) or "")[:_DATE],
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(table)
