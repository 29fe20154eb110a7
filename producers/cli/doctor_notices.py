"""What the doctor checks of notices: whether anybody would hear of an alert, and whether they arrive."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from producers.cli.collaborators import Check, Fleet
from producers.errors import Unavailable

if TYPE_CHECKING:
    from workers.monitoring.notices.outbox import Tally

DAY_S = 24 * 3_600
_NAME = "notifications"


def notice_checks(fleet: Fleet) -> Iterator[Check]:
    """Yield one check of the channels, and of what became of the notices of the last 24 hours."""
    from producers.cli.alerts_place import own_notifier  # noqa: PLC0415
    from producers.cli.dead_place import database_of  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415
    from workers.store.errors import StoreError  # noqa: PLC0415
    from workers.store.outbox import SqlOutbox  # noqa: PLC0415

    there = sorted(set(own_notifier().there) - {"log"})
    tally: Mapping[str, Tally] = {}
    try:
        url, _ = database_of(fleet)
        with open_store(url, create=False) as store:
            if store.file is None or store.file.exists():
                tally = SqlOutbox(store).tally(int((time.time() - DAY_S) * 1000))
    except (Unavailable, StoreError):
        tally = {}  # which the check of dead letters has told
    yield judged(there, tally)


def judged(there: list[str], tally: Mapping[str, "Tally"]) -> Check:
    """Return what it means that the channels *there* are set, and *tally* became of the day's notices."""
    troubled = {name: one for name, one in tally.items() if one.failed or one.why}
    if troubled:
        name, one = max(troubled.items(), key=lambda item: item[1].failed)
        now = one.why or "it works again"
        found = f"{name}: {one.failed} failed and {one.waiting} wait in the last 24 h: {now}"
        fix = f"`ion alerts test --channel {name}` tries it; see docs/notifications.md"
        return Check(_NAME, "warn", found, fix)
    if not there:
        found = "alerts are written to the log only; docs/notifications.md sets up Slack, e-mail and others"
        return Check(_NAME, "ok", found)
    sent = sum(one.sent + one.merged for one in tally.values())
    return Check(_NAME, "ok", f"{', '.join(there)}; {sent} sent in the last 24 h")
