"""Celery's own beat with one entry a second; ``celery -A`` loads it."""

import os

from tests.chaos.stock_worker import TASK, create_stock_app

app = create_stock_app(os.environ.get("CHAOS_BEAT_URL", "memory://"))
app.conf.beat_schedule = {"tick": {"task": TASK, "schedule": 1.0, "args": ("n-0",)}}
