"""The composition of what judges the alert rules and tells people: for workers, and for the beat.

Rules that cannot be read are no reason to be blind: ours hold then, and the log says why.  So it is with
channels whose settings are wrong: notices go to the log.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from workers.beat.deadman import Means
from workers.monitoring.alerts.errors import InvalidRules
from workers.monitoring.alerts.evaluation import AlertEvaluator
from workers.monitoring.alerts.rule import Rules
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.alerts.settings import AlertSettings
from workers.monitoring.history import History, Reader
from workers.monitoring.notices.channels.channel import Channel
from workers.monitoring.notices.channels.errors import ChannelError
from workers.monitoring.notices.channels.opening import open_channels
from workers.monitoring.notices.digesting import DailyDigest
from workers.monitoring.notices.notifier import ChannelNotifier
from workers.monitoring.notices.outbox import MemoryOutbox, Outbox
from workers.monitoring.notices.settings import ChannelSettings
from workers.monitoring.recorder import NullRecorder, Recorder
from workers.observability.sentry import release
from workers.settings import WorkerSettings
from workers.store.alerts import AlertStore
from workers.store.engine import Store, open_store
from workers.store.outbox import SqlOutbox

logger = logging.getLogger(__name__)


def open_evaluator(
    settings: WorkerSettings,
    store: Store,
    history: History,
    recorder: Recorder,
    now_s: Callable[[], float] = time.time,
) -> AlertEvaluator:
    """Return what judges the rules by *history* and keeps alerts in *store*; connects to nothing yet."""
    notifier = open_notifier(settings, SqlOutbox(store), recorder, now_s)
    rules = rules_of(AlertSettings().alert_rules)
    return AlertEvaluator(rules, Reader(history), AlertStore(store), notifier, now_s)


def open_notifier(
    settings: WorkerSettings, outbox: Outbox, recorder: Recorder, now_s: Callable[[], float] = time.time
) -> ChannelNotifier:
    """Return what sends the notices of *outbox* by the channels that the settings ask for."""
    given = _channel_settings()
    return ChannelNotifier(outbox, _channels(given, settings), given.give_up_s, recorder, now_s)


def open_digest(
    settings: WorkerSettings,
    store: Store,
    history: History,
    recorder: Recorder,
    now_s: Callable[[], float] = time.time,
) -> DailyDigest:
    """Return what sends the digest of each day; connects to nothing yet."""
    notifier = open_notifier(settings, SqlOutbox(store), recorder, now_s)
    hour_utc = _channel_settings().digest_hour_utc
    return DailyDigest(AlertStore(store), Reader(history), notifier, hour_utc, now_s)


def watching(settings: WorkerSettings, database_url: str) -> Means:
    """Return what a beat watches with whether rules are judged; connects to nothing yet."""
    store, nobody = open_store(database_url, create=False), NullRecorder()
    by_outbox = open_notifier(settings, SqlOutbox(store), nobody)
    return Means(AlertStore(store), by_outbox, open_notifier(settings, MemoryOutbox(), nobody))


def rules_of(own: Path | None) -> Rules:
    """Return the rules as *own* changes them, or ours when it cannot be used."""
    try:
        return load_rules(own)
    except InvalidRules as error:
        logger.error("the alert rules of ION_ALERT_RULES are not used: %s", error)  # noqa: TRY400 - likewise
        return load_rules()


def _channels(given: ChannelSettings, settings: WorkerSettings) -> dict[str, Channel]:
    dsn = None if settings.sentry_dsn is None else settings.sentry_dsn.get_secret_value() or None
    try:
        return open_channels(given, dsn, settings.environment, release())
    except ChannelError as error:
        logger.error("alerts do not go to Sentry: %s", error.why)  # noqa: TRY400 - likewise
        return open_channels(given, environment=settings.environment)


def _channel_settings() -> ChannelSettings:
    try:
        return ChannelSettings()
    except ValidationError as error:
        logger.error("alerts are written to the log only: %s", _said(error))  # noqa: TRY400 - it says all
        return ChannelSettings.model_construct()  # as if none of them were set


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = "_".join(str(part) for part in first["loc"]).upper()
    return f"ION_ALERT_{field} is not valid: {first['msg'].removeprefix('Value error, ')}"
