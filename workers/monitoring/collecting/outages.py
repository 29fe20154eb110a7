"""Say once that something does not work, and once that it does again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from workers.monitoring.metrics import TROUBLE
from workers.monitoring.recorder import Recorder

logger = logging.getLogger(__name__)


class Outages:
    """Failures that are to be expected, by what was being done; each is counted, the first one is logged."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._failing: set[str] = set()

    @contextmanager
    def bearing(self, doing: str, *expected: type[Exception]) -> Iterator[None]:
        """Bear the *expected* errors of the block; *doing*, a few fixed words, is what the log calls it."""
        try:
            yield
        except expected as error:
            self._recorder.count(TROUBLE, labels=(doing,))
            if doing not in self._failing:
                self._failing.add(doing)
                logger.warning("%s fails: %s; trying again by and by", doing, type(error).__name__)
        else:
            if doing in self._failing:
                self._failing.discard(doing)
                logger.warning("%s works again", doing)
