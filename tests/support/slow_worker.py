"""A real worker whose analyser takes 50 ms, as a large model would; what ``celery -A`` loads in tests."""

import time

from persona_system.analysis import load_analyser
from persona_system.models import Analysis
from workers.app import create_app
from workers.settings import WorkerSettings


class SlowAnalyser:
    """The package's analyser, slowly."""

    def __init__(self) -> None:
        self._analyser = load_analyser()
        self.version = f"slow-{self._analyser.version}"

    def analyse(self, text: str) -> Analysis:
        """Take 50 ms over *text*."""
        time.sleep(0.05)
        return self._analyser.analyse(text)


app = create_app(WorkerSettings(), SlowAnalyser())
