"""The module that the bare Celery workers load."""

from infra.bench.baseline import BaselineSettings, add_task, create_baseline_app

app = add_task(create_baseline_app(BaselineSettings().broker_url.get_secret_value()))
