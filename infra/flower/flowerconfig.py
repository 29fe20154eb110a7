"""Flower's configuration: ``celery -A workers.entry flower --conf=infra/flower/flowerconfig.py``.

Each upper-level name that is one of Flower's options sets it; the command line goes before.  Logging in is
never off, and nothing is shown to who has not logged in but that it lives (/healthcheck).

Source: flower/options.py 2.2; tornado/options.py, ``parse_config_file``.
"""

from tornado.options import options as _given

from infra.flower.keeping import Keeping as _Keeping
from infra.flower.pages import add_pages as _add_pages
from infra.flower.settings import FlowerSettings as _FlowerSettings
from producers.settings import ClientSettings as _ClientSettings

_ours = _FlowerSettings()
_kept = _Keeping.of(_ClientSettings().state_dir)

# -- who may look, and from where -------------------------------------------------------------------
address = _ours.host  # Flower's default is every interface
port = _ours.port
read_only = _ours.read_only
basic_auth = [] if _given.auth else _kept.logins(_ours)  # --auth: an OAuth provider does it
cookie_secret = _kept.cookie_secret(_ours)
_add_pages(_ours.dashboards_url)  # ours, and a lock on /metrics

# -- what is kept -----------------------------------------------------------------------------------
persistent = True
db = str(_kept.rows)
state_save_interval = _ours.save_every_s * 1000  # ms
max_tasks = _ours.max_tasks
max_workers = 1_000
purge_offline_workers = 300  # seconds

# -- what is shown ----------------------------------------------------------------------------------
tasks_columns = "name,state,args,result,received,runtime,worker,retries,uuid"  # args: how many jobs
task_runtime_metric_buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0]  # s; our limits
natural_time = False  # what happened at 03:12 is looked for in logs

# -- how the fleet is asked -------------------------------------------------------------------------
inspect_timeout = 1500.0  # ms; a worker answers between two batches, and a page waits for all of it
enable_events = True  # workers tell of tasks while it runs, and not else
