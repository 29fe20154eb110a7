"""Who calls, what they may do, and which jobs are theirs."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from persona_system.models import Context
from producers.gateway.errors import Forbidden, UnknownJob
from producers.roles import Role

Proof = Literal["key", "token", "none"]

_OWNER_CHARS = 32  # hexadecimal: 128 bits, so nobody finds another subject with the same
_OWN_CHARS = 32


@dataclass(frozen=True, slots=True)
class Caller:
    """A subject, its role, and what it has shown: an API key, a token, or nothing.

    A *user* acts for itself alone; a *service* is an app that answers for its own users; an *admin* may
    also look at everybody's jobs and change the cache.
    """

    subject: str
    role: Role
    proof: Proof = "none"

    @property
    def identity(self) -> str:
        """Whose jobs these are: a person's whatever was shown, else those of this key or token subject."""
        return f"user:{self.subject}" if self.role == "user" else f"{self.proof}:{self.subject}"

    def require_admin(self) -> None:
        """Raise Forbidden for anybody else."""
        if self.role != "admin":
            raise Forbidden("this takes the role admin")

    def scoped(self, context: Context | None) -> Context | None:
        """Return *context* as this caller may use it: a user's is always that user's own.

        Raises Forbidden for a user who names another one.
        """
        if self.role != "user":
            return context
        if context is None:
            return None
        if context.user_id is not None and context.user_id != self.subject:
            raise Forbidden("a user may give no other user_id than its own", "context.user_id")
        return Context(self.subject, context.session_id, history=context.history)

    def new_job_id(self, idempotency_key: str | None = None) -> str:
        """Return the id of a job of this caller's; the same for the same *idempotency_key*."""
        if idempotency_key is None:
            own = secrets.token_hex(_OWN_CHARS // 2)
        else:
            own = _digest(b"key", idempotency_key)
        return f"{_owner(self.identity)}{own}"

    def check_owns(self, job_id: str) -> str:
        """Return *job_id* if this caller may see that job; raise UnknownJob, as for one that is not there.

        The id says whose job it is, so that no lookup can be forgotten.
        """
        if not _is_job_id(job_id) or (self.role != "admin" and self.is_anothers(job_id)):
            raise UnknownJob("no job of yours has this id", "job_id")
        return job_id

    def is_anothers(self, job_id: str) -> bool:
        """Tell whether *job_id* is the id of somebody else's job, if it is one at all."""
        return _is_job_id(job_id) and job_id[:_OWNER_CHARS] != _owner(self.identity)


ANONYMOUS = Caller("anonymous", "service")


def _is_job_id(text: str) -> bool:
    return len(text) == _OWNER_CHARS + _OWN_CHARS and text.isalnum() and text.isascii()


def _owner(identity: str) -> str:
    return _digest(b"owner", identity)


def _digest(purpose: bytes, text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=purpose).hexdigest()
