"""What the doctor checks of alerts: whether rules are judged, by which, and what goes on."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from producers.cli.collaborators import Check, Fleet
from producers.errors import Unavailable

if TYPE_CHECKING:
    from workers.monitoring.alerts.alert import Alert

_NAME = "alerts"
_RULES = "alert rules"


def alert_checks(fleet: Fleet) -> Iterator[Check]:
    """Yield what there is to say of the rules here and of the alerts of *fleet*."""
    from workers.monitoring.alerts.errors import InvalidRules  # noqa: PLC0415
    from workers.monitoring.alerts.rules import load_rules  # noqa: PLC0415
    from workers.monitoring.alerts.settings import AlertSettings  # noqa: PLC0415

    own = AlertSettings().alert_rules
    try:
        rules = load_rules(own)
    except InvalidRules as error:
        yield Check(_RULES, "fail", f"{error.place}: {error.problem}; workers go on with ours", error.fix)
    else:
        yield Check(_RULES, "ok", f"{len(rules)}, " + ("ours" if own is None else f"as {own} changes ours"))
    yield from _state(fleet)


def _state(fleet: Fleet) -> Iterator[Check]:
    from producers.cli.dead_place import database_of  # noqa: PLC0415
    from workers.store.alerts import AlertStore  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415
    from workers.store.errors import StoreError, StoreUnavailable  # noqa: PLC0415

    try:
        url, _ = database_of(fleet)
    except Unavailable:
        yield Check(_NAME, "warn", "there is no database, so no rule is judged", "set ION_DATABASE_URL")
        return
    try:
        with open_store(url, create=False) as store:
            if store.file is not None and not store.file.exists():
                yield Check(_NAME, "ok", "none so far: no worker has judged the rules yet")
                return
            alerts = AlertStore(store)
            yield judged(alerts.open_alerts(), alerts.evaluated_s(), time.time())
    except StoreError as error:
        fix = error.fix if isinstance(error, StoreUnavailable) else ""
        yield Check(_NAME, "fail", str(error), fix or "see ION_DATABASE_URL")


def judged(alerts: "Sequence[Alert]", evaluated_s: float | None, now_s: float) -> Check:
    """Return what it means that these *alerts* are open, and that rules were last judged then."""
    from workers.monitoring.alerts.deadman import STOPPED_S  # noqa: PLC0415
    from workers.monitoring.notices.wording import lasting  # noqa: PLC0415

    if evaluated_s is None:
        return Check(_NAME, "warn", "no worker has judged the rules yet", "see that workers and beat run")
    silent_s = max(0.0, now_s - evaluated_s)
    looked = f"the rules were last judged {lasting(silent_s)} ago"
    if silent_s > STOPPED_S:
        fix = "see that a worker and a beat run, with the same ION_DATABASE_URL"
        return Check(_NAME, "fail", looked, fix)
    told = [alert for alert in alerts if alert.inhibited_by is None and alert.silenced_by is None]
    if not told:
        return Check(_NAME, "ok", f"none; {looked}")
    named = ", ".join(sorted({f"{alert.rule} ({alert.level})" for alert in told}))
    return Check(_NAME, "warn", f"{len(told)}: {named}; {looked}", "see `ion alerts list`")
