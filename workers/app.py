"""The composition root of a worker: Celery app, tasks, and the runtime they share."""

import time

from celery import Celery

import celeryconfig
from persona_system.cache.keys import version_id
from persona_system.cache.local import LocalCache
from persona_system.cache.notes import Note
from persona_system.cache.popularity import Popularity
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache
from persona_system.pipeline import PersonaPipeline, load_pipeline
from workers import signals
from workers.answers import Answers, CachedAnswers, NullAnswers
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
        pipeline = load_pipeline(directory=settings.catalogue_dir, max_text_chars=settings.max_text_chars)
        return Runtime(
            pipeline=pipeline,
            replies=RedisReplies(settings.effective_reply_url, settings.reply_timeout_s),
            dead_letters=BrokerDeadLetters(app),
            now_ms=lambda: time.time() * 1000,
            report_bug=log_bug if dsn is None else sentry_reporter(dsn.get_secret_value()),
            answers=build_answers(settings, pipeline),
        )

    slot = RuntimeSlot(build_runtime)
    bind(app, slot, TaskOptions(names.PERSONA_PROCESS), persona.process)
    bind(app, slot, TaskOptions(names.PERSONA_RECOMMEND), persona.recommend)
    signals.connect(settings, slot)
    return app


def build_answers(settings: WorkerSettings, pipeline: PersonaPipeline) -> Answers:
    """Return this process's part of the answer cache, which begins to serve in the background."""
    if settings.cache_url is None:
        return NullAnswers()
    redis = RedisCache(settings.cache_url.get_secret_value(), settings.cache_timeout_ms / 1000)
    local = (
        LocalCache(settings.cache_entries, int(settings.cache_mb * 2**20)) if settings.cache_entries else None
    )
    cache = TwoTierCache(local, redis)
    version = Note(redis, "version")  # tells producers which answers are the present ones
    redis.on_up.append(lambda store: version.write(store, version_id(pipeline.version)))
    answers = CachedAnswers(
        cache, redis.counters, Popularity(), pipeline.version, pipeline.catalogue.personas.names
    )
    cache.start()
    return answers
