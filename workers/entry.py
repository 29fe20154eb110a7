"""The module that ``celery -A workers.entry`` loads: the one place where an app is made at import."""

from workers.app import create_app
from workers.settings import WorkerSettings

app = create_app(WorkerSettings())
