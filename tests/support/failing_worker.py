"""A real worker that fails on texts which begin with ``fail`` or ``break``, with errors that quote them."""

from persona_system.analysis import load_analyser
from persona_system.models import Analysis
from workers.app import create_app
from workers.settings import WorkerSettings


class FailingAnalyser:
    """The package's analyser, with a bug."""

    def __init__(self) -> None:
        self._analyser = load_analyser()
        self.version = f"failing-{self._analyser.version}"

    def analyse(self, text: str) -> Analysis:
        """Analyse *text*, or fail and say at what."""
        if text.startswith("fail"):
            local = {"words": text}
            raise ValueError(f"cannot read {local}")
        if text.startswith("break"):
            raise LookupError(text)
        return self._analyser.analyse(text)


app = create_app(WorkerSettings(), FailingAnalyser())
