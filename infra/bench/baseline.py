"""Bare Celery, to compare with: one job a message, msgpack, its result stored and fetched.

This is the set-up that most projects start from, on the same server and with the same pure work.
``celery -A infra.bench.baseline_entry`` loads it; the database after the product's own keeps the two apart.
"""

from celery import Celery
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from persona_system.pipeline import load_pipeline

TASK = "baseline.process"


class BaselineSettings(BaseSettings):
    """Where the bare workers find their broker."""

    model_config = SettingsConfigDict(env_prefix="ION_BASELINE_", frozen=True)

    broker_url: SecretStr


def baseline_url(broker_url: str) -> str:
    """Return *broker_url* with database 1 in place of 0."""
    return broker_url.replace("virtual_host=0", "virtual_host=1")


def create_baseline_app(broker_url: str) -> Celery:
    """Return a Celery app as its tutorial makes it, but for msgpack."""
    app = Celery("baseline", broker=broker_url, backend=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="msgpack",
        result_serializer="msgpack",
        accept_content=["msgpack"],
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    return app


def add_task(app: Celery) -> Celery:
    """Register the one task with *app*: the same pipeline as the product's worker runs."""
    pipeline = load_pipeline()

    def process(text: str, key: str) -> dict[str, object]:
        response = pipeline.process(text, key)
        return {
            "content": response.content,
            "persona_used": response.persona_used,
            "resonance_key": str(response.resonance_key),
            "confidence": response.confidence,
        }

    app.task(process, name=TASK)
    return app
