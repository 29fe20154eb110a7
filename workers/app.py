"""The composition root of a worker: Celery app, tasks, and the runtime they share."""

import time

from celery import Celery

import celeryconfig
from persona_system.pipeline import load_pipeline
from workers import signals
from workers.base import TaskOptions, bind
from workers.contract import names
from workers.dead_letter import BrokerDeadLetters
from workers.observability.bugs import log_bug, sentry_reporter
from workers.runtime import RedisReplies, Runtime, RuntimeSlot
from workers.settings import WorkerSettings
from workers.tasks import persona


def create_app(settings: WorkerSettings) -> Celery:
    """Return the Celery app of a worker process; connects to nothing yet."""
    app = Celery("ion", set_as_current=False)
    app.config_from_object(celeryconfig)
    app.conf.update(celeryconfig.broker_settings(settings.broker_url.get_secret_value()))

    dsn = settings.sentry_dsn

    def build_runtime() -> Runtime:
        return Runtime(
            pipeline=load_pipeline(directory=settings.catalogue_dir, max_text_chars=settings.max_text_chars),
            replies=RedisReplies(settings.effective_reply_url, settings.reply_timeout_s),
            dead_letters=BrokerDeadLetters(app),
            now_ms=lambda: time.time() * 1000,
            report_bug=log_bug if dsn is None else sentry_reporter(dsn.get_secret_value()),
        )

    slot = RuntimeSlot(build_runtime)
    bind(app, slot, TaskOptions(names.PERSONA_PROCESS), persona.process)
    bind(app, slot, TaskOptions(names.PERSONA_RECOMMEND), persona.recommend)
    signals.connect(settings, slot)
    return app
