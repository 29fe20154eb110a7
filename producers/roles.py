"""Who a caller of the gateway may be: for the gateway itself, and for the commands that make keys.

A *user* acts for itself alone; a *service* is an app that answers for its own users; an *admin* may also look
at everybody's jobs and change the cache.
"""

from typing import Literal, TypeGuard

Role = Literal["user", "service", "admin"]
ROLES: tuple[Role, ...] = ("user", "service", "admin")

LONGEST_SUBJECT = 128  # characters


def is_role(value: object) -> TypeGuard[Role]:
    """Tell whether *value* is a role."""
    return value in ROLES


def is_subject(value: object) -> TypeGuard[str]:
    """Tell whether *value* can stand for somebody: 1 to 128 printable characters, not all spaces."""
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_SUBJECT
        and value.isprintable()
        and bool(value.strip())
    )
