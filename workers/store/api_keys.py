"""API keys in the database: who may come in over HTTP.

A key reads ``ion_<id>_<secret>``.  The id is public.  The secret is shown once, when the key is made, and
kept as its SHA-256 digest: a slow hash would protect what people think up, and 196 random bits cannot be
guessed however fast one tries.

Units:   times in milliseconds since the Unix epoch, UTC.
Errors:  StoreUnavailable from every method of ``ApiKeyStore``.
"""

import hashlib
import re
import secrets
import string

import msgspec
import sqlalchemy as sa

from workers.store.engine import Store
from workers.store.letters import cleaned
from workers.store.metadata import metadata

ID_CHARS, SECRET_CHARS = 12, 33  # 62 ** 33 is 196 bits
_ALPHABET = string.digits + string.ascii_letters  # fit for URLs, headers, shells, and a double click
_FORM = re.compile(rf"ion_([0-9A-Za-z]{{{ID_CHARS}}})_([0-9A-Za-z]{{{SECRET_CHARS}}})")
_LONGEST_NAME = 200  # characters

_KEYS = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=True),
    sa.Column("revoked_ms", sa.BigInteger, nullable=True),
)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept; *subject* is the user it acts for, or its own id.  None: never."""

    id: str
    digest: bytes
    name: str
    role: str
    subject: str
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None


_NAMES = ApiKey.__struct_fields__
_ROW = [_KEYS.c[name] for name in _NAMES]


def make_key(
    name: str, role: str, user_id: str | None, created_ms: int, expires_ms: int | None
) -> tuple[ApiKey, str]:
    """Return a new key, and the text that its holder shows: nobody can tell it again."""
    key_id, secret = _random(ID_CHARS), _random(SECRET_CHARS)
    key = ApiKey(
        id=key_id,
        digest=digest_of(secret),
        name=cleaned(name, _LONGEST_NAME),
        role=role,
        subject=key_id if user_id is None else user_id,
        created_ms=created_ms,
        expires_ms=expires_ms,
    )
    return key, f"ion_{key_id}_{secret}"


def split_key(text: str) -> tuple[str, str] | None:
    """Return (id, secret) of a key's *text*; None: it is no key."""
    found = _FORM.fullmatch(text)
    return None if found is None else (found[1], found[2])


def digest_of(secret: str) -> bytes:
    """Return what is kept of *secret*."""
    return hashlib.sha256(secret.encode()).digest()


class ApiKeyStore:
    """The keys in *store*, which belongs to whoever opened it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        with self._store.writing() as connection:
            connection.execute(sa.insert(_KEYS).values(msgspec.structs.asdict(key)))

    def all(self) -> list[ApiKey]:
        """Return every key, the newest first."""
        newest_first = (_KEYS.c.created_ms.desc(), _KEYS.c.id)
        with self._store.reading() as connection:
            return [_key(row) for row in connection.execute(sa.select(*_ROW).order_by(*newest_first))]

    def usable(self, now_ms: int) -> list[ApiKey]:
        """Return the keys that are neither revoked nor expired."""
        unexpired = sa.or_(_KEYS.c.expires_ms.is_(None), _KEYS.c.expires_ms > now_ms)
        query = sa.select(*_ROW).where(_KEYS.c.revoked_ms.is_(None), unexpired)
        with self._store.reading() as connection:
            return [_key(row) for row in connection.execute(query)]

    def revoke(self, key_id: str, at_ms: int) -> ApiKey | None:
        """Revoke the key of this id, for good, and return it; None: there is none.  Twice is once."""
        this = _KEYS.c.id == key_id
        with self._store.writing() as connection:
            change = sa.update(_KEYS).where(this, _KEYS.c.revoked_ms.is_(None)).values(revoked_ms=at_ms)
            connection.execute(change)
            row = connection.execute(sa.select(*_ROW).where(this)).one_or_none()
        return None if row is None else _key(row)


def _random(chars: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(chars))


def _key(row: "sa.Row[tuple[object, ...]]") -> ApiKey:
    return msgspec.convert(dict(zip(_NAMES, row, strict=True)), ApiKey)
