"""What ``celery -A tests.support.beat_entry beat`` runs: our beat, with an entry a second of each policy."""

from tests.support.beats import ENTRIES
from workers.app import create_app
from workers.contract.periodic import table
from workers.settings import WorkerSettings

app = create_app(WorkerSettings())
app.conf.update(beat_schedule=table(*ENTRIES))
