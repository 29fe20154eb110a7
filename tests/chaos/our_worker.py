"""Our worker with an analyser that does what jobs of the fault suite say; ``celery -A`` loads it."""

import os

from persona_system.analysis import load_analyser
from persona_system.models import Analysis
from tests.chaos.deeds import do
from tests.support.oracle import Witness
from workers.app import create_app
from workers.settings import WorkerSettings


class ChaosAnalyser:
    """Does the job that a text names before its ``|``, and finds what the package's analyser finds."""

    version = "chaos"

    def __init__(self) -> None:
        self._found = load_analyser().analyse("Why does my build fail again?")
        self._witness = Witness(os.environ["CHAOS_WITNESS_URL"], os.environ["CHAOS_WORKER"])

    def analyse(self, text: str) -> Analysis:
        """Do what *text* names."""
        do(text.partition("|")[0], self._witness)
        return self._found


app = create_app(WorkerSettings(), ChaosAnalyser())
