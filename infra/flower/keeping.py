"""What Flower keeps in the state directory: its password, what signs its cookies, and its rows."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from infra.flower.settings import USER, FlowerSettings
from infra.local.directory import ensure_private

_PASSWORD_BYTES, _COOKIE_BYTES = 12, 48


@dataclass(frozen=True, slots=True)
class Keeping:
    """Flower's own directory; only we can enter it."""

    directory: Path

    @classmethod
    def of(cls, state_dir: Path) -> "Keeping":
        """Return that of the stack in *state_dir*, made if need be; raise UnsafeDirectory."""
        kept = cls(state_dir.expanduser().resolve() / "flower")
        ensure_private(kept.directory)
        return kept

    @property
    def rows(self) -> Path:
        """Where its rows are written down, so that a restart shows them again."""
        return self.directory / "rows"

    @property
    def password_file(self) -> Path:
        """Where the password is that was made here."""
        return self.directory / "password"

    def logins(self, settings: FlowerSettings) -> list[str]:
        """Return who may look, as user:password: who is in *settings*, else one made here."""
        if settings.basic_auth is not None:
            return settings.basic_auth.get_secret_value().split(",")
        return [f"{USER}:{_kept(self.password_file, _PASSWORD_BYTES)}"]

    def cookie_secret(self, settings: FlowerSettings) -> str:
        """Return what signs cookies; the same after a restart, which so logs nobody out."""
        if settings.cookie_secret is not None:
            return settings.cookie_secret.get_secret_value()
        return _kept(self.directory / "cookie_secret", _COOKIE_BYTES)


def _kept(file: Path, size: int) -> str:
    """Return the secret in *file*; the first to ask makes it, whole or not at all."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    if not file.exists():
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as made:
            made.write(secrets.token_urlsafe(size))
        try:
            os.link(draft, file)  # fails where another process was faster
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text(encoding="ascii").strip()
