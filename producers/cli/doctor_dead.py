"""What the doctor checks of dead letters: how many wait for somebody, and since when."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from producers.cli.collaborators import Check, Fleet
from producers.errors import Unavailable

if TYPE_CHECKING:
    from workers.store.letters import Counts

NEWS_MS = 86_400_000  # a letter of the last day is news
_NAME = "dead letters"


def dead_checks(fleet: Fleet) -> Iterator[Check]:
    """Yield one check of the dead letters of *fleet*."""
    from producers.cli.dead_place import database_of  # noqa: PLC0415
    from workers.store.dead_letters import DeadLetterStore  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415
    from workers.store.errors import StoreError, StoreUnavailable  # noqa: PLC0415

    try:
        url, _ = database_of(fleet)
    except Unavailable as error:
        yield Check(_NAME, "warn", error.why, "set ION_DATABASE_URL for the workers, and here")
        return
    try:
        with open_store(url, create=False) as store:
            if store.file is not None and not store.file.exists():
                yield Check(_NAME, "ok", f"none so far; they will be kept in {store.file}")
                return
            counts = DeadLetterStore(store).counts()
    except StoreError as error:
        fix = error.fix if isinstance(error, StoreUnavailable) else ""
        yield Check(_NAME, "fail", str(error), fix or "see ION_DATABASE_URL")
        return
    yield counted(counts, int(time.time() * 1000))


def counted(counts: "Counts", now_ms: int) -> Check:
    """Return what *counts* mean: old letters are known, those of the last day are news."""
    from producers.cli.dead_filters import short_age  # noqa: PLC0415
    from producers.cli.dead_show import summary  # noqa: PLC0415

    if counts.oldest_ms is None or counts.newest_ms is None:
        return Check(_NAME, "ok", summary(counts))
    found = f"{summary(counts)}; the oldest died {short_age(now_ms - counts.oldest_ms)} ago"
    if now_ms - counts.newest_ms < NEWS_MS:
        return Check(_NAME, "warn", found, "see `ion dead list`; then retry or purge them")
    return Check(_NAME, "ok", found)
