"""The composition root of a worker: Celery app, tasks, and the runtime they share."""

import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from celery import Celery

import celeryconfig
from persona_system.pipeline import load_pipeline
from persona_system.ports import TextAnalyser
from workers import signals
from workers.base import TaskOptions, bind, bind_periodic
from workers.cache.answers import CachedAnswers
from workers.cache.caching import open_cache
from workers.contract import names
from workers.contract.addresses import is_redis
from workers.dead import dead_queue
from workers.dead.dead_letter import BrokerDeadLetters, quarantine_hook
from workers.monitoring.collecting.machine import Machine
from workers.observability.starting import beat_check_ins, switched_on
from workers.operations.broker_view import Reach
from workers.operations.measuring import Measuring, evictions_of, open_measuring
from workers.operations.monitored import open_monitoring
from workers.process_slot import ProcessSlot
from workers.requeue import BrokerQueues
from workers.runtime import Runtime, RuntimeSlot
from workers.settings import WorkerSettings
from workers.settling import RedisSettlements
from workers.tasks import cache, monitoring, persona
from workers.tasks.dead import Retention
from workers.watchdog import SignalAlarm, Watchdog

if TYPE_CHECKING:
    from workers.beat.deadman import Means


def create_app(settings: WorkerSettings, analyser: TextAnalyser | None = None) -> Celery:
    """Return the Celery app of a worker process; connects to nothing yet.  No *analyser*: our own."""
    app = Celery("ion", set_as_current=False, events="workers.operations.task_events:GatheringEvents")
    app.config_from_object(celeryconfig)
    app.conf.update(celeryconfig.broker_settings(settings.broker_url.get_secret_value()))

    def now_ms() -> float:
        return time.time() * 1000

    dead_letters = BrokerDeadLetters(app)
    if is_redis(settings.broker_url.get_secret_value()):
        options = {**app.conf.broker_transport_options, "quarantine": quarantine_hook(dead_letters, now_ms)}
        app.conf.update(broker_transport_options=options)

    def build_measuring() -> Measuring:
        if not settings.monitoring:
            return Measuring(settings.region)
        broker_url = settings.broker_url.get_secret_value()
        return open_measuring("worker", settings.region, broker_url, settings.effective_reply_url)

    measuring = ProcessSlot(build_measuring)

    def build_runtime() -> Runtime:
        seen = switched_on(settings, settings.region)
        pipeline = load_pipeline(analyser, settings.catalogue_dir, settings.max_text_chars)
        answers, upkeep = open_cache(settings, pipeline, seen.report_bug)
        settlements = RedisSettlements(settings.effective_reply_url, settings.reply_timeout_s)
        measured = measuring.get()
        recorder = measured.recorder
        measured.look(Machine().look)
        measured.look(Reach(app, settings.broker_url.get_secret_value(), settings.effective_reply_url).look)
        if isinstance(answers, CachedAnswers) and answers.cache.local is not None:
            measured.look(evictions_of(answers.cache.local))
        return Runtime(
            pipeline=pipeline,
            settlements=settlements,
            dead_letters=dead_letters,
            now_ms=now_ms,
            report_bug=seen.report_bug,
            answers=answers,
            upkeep=upkeep,
            queues=BrokerQueues(app, recorder),
            watch=Watchdog(settings.hard_limit_s, settlements.hangs, SignalAlarm()),
            monitoring=open_monitoring(settings, app, recorder, seen.report_bug),
            region=settings.region,
            recorder=recorder,
            tell=measured.telling(seen.tells),
            tracing=seen.tracing,
            check_ins=seen.check_ins,
            trails=settings.trail,
        )

    slot = RuntimeSlot(build_runtime)
    bind(app, slot, TaskOptions(names.PERSONA_PROCESS), persona.process)
    bind(app, slot, TaskOptions(names.PERSONA_RECOMMEND), persona.recommend)
    bind_periodic(app, slot, names.CACHE_WARM, cache.warm)
    bind_periodic(app, slot, names.CACHE_PREFETCH, cache.prefetch)
    bind_periodic(app, slot, names.MONITORING_COLLECT, monitoring.collect)
    bind_periodic(app, slot, names.MONITORING_EVALUATE, monitoring.evaluate)
    bind_periodic(app, slot, names.MONITORING_TIDY, monitoring.tidy)
    bind_periodic(app, slot, names.MONITORING_DIGEST, monitoring.digest)
    url = settings.database_url
    dead_queue.connect(
        app,
        None if url is None else url.get_secret_value(),
        Retention(timedelta(days=settings.dead_retention_days), settings.dead_max_letters),
        lambda: slot.get().report_bug,
        lambda: slot.get().recorder,
    )
    signals.connect(settings, slot, measuring)

    def guarded_consumer(*given: Any, **options: Any) -> Any:
        from workers.guard import GuardedConsumer, refuse_compression  # noqa: PLC0415 - only a worker consumes

        refuse_compression()
        return GuardedConsumer(*given, dead_letters=dead_letters, **options)

    def beat_scheduler(**given: Any) -> Any:
        from workers.beat.scheduler import LeasedScheduler  # noqa: PLC0415 - a worker has no use for it

        return LeasedScheduler(
            url=settings.effective_reply_url,
            ready_file=settings.ready_file,
            check_ins=beat_check_ins(settings),
            watching=partial(_watching, settings, url.get_secret_value())
            if url and settings.monitoring
            else None,
            **given,
        )

    app.conf.update(beat_scheduler=beat_scheduler, worker_consumer=guarded_consumer)
    return app


def _watching(settings: WorkerSettings, database_url: str) -> "Means":
    """Return what a beat watches with whether the alert rules are judged."""
    from workers.operations.alerting import watching  # noqa: PLC0415 - this loads SQLAlchemy

    return watching(settings, database_url)
