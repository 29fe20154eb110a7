"""End a worker process that hangs: in one job for longer than the hard limit.

Celery's own time limits need the prefork pool; this one works in every pool, since it ends the process it
is in.  The supervisor starts another, the broker gives the batch to it, and the losses are counted
(``workers.isolation``).  What counts as progress is the next job, so a batch of many slow jobs is left
alone, as is a worker that has nothing to do.

Two guards.  A thread looks once a second, notes why, and ends the process.  Code that holds Python's global
lock for ever keeps that thread from running; for this the kernel has an alarm clock, which is wound when a
batch begins and whose signal ends the process by default.  Both leave the stacks on stderr: names of files
and functions, no values.

Units:   seconds.
"""

import contextlib
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

_STDERR = 2  # the descriptor: there whatever sys.stderr is
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
_LOOK_S = 1.0
_ALARM_LATER = 1.25  # times the limit, and a second: the thread comes first, as it can say why


class Work:
    """A batch that is being answered; whoever answers it counts *steps*."""

    __slots__ = ("batch_id", "steps")

    def __init__(self) -> None:
        self.batch_id = ""
        self.steps = 0


class Watch(Protocol):
    """Watches over work."""

    def begin(self) -> Work:
        """Watch over a new piece of work until its ``end``."""

    def end(self, work: Work) -> None:
        """Let it go."""

    def close(self) -> None:
        """Stop watching."""


class NoWatch:
    """Lets work hang."""

    def begin(self) -> Work:
        """Watch nothing."""
        return Work()

    def end(self, work: Work) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Alarm(Protocol):
    """Ends the process when it is not wound again in time."""

    def wind(self, seconds: float) -> None:
        """Go off in so many *seconds* from now; 0: never."""


class SignalAlarm:
    """The kernel's: SIGALRM, which nobody handles, so it ends the process once the stacks are written."""

    def __init__(self) -> None:
        if threading.current_thread() is threading.main_thread():  # nobody else may
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # in a pool process, billiard has a handler for it
        faulthandler.register(signal.SIGALRM, file=_STDERR, all_threads=True, chain=True)

    def wind(self, seconds: float) -> None:
        """Set the process's interval timer."""
        signal.setitimer(signal.ITIMER_REAL, seconds)


class Watchdog:
    """Ends this process with *leave* when work makes no step for *limit_s*, after telling *note* its batch.

    *note* may take a while and may fail.  It looks every *look_s*; None: as suits the limit.
    """

    def __init__(
        self,
        limit_s: float,
        note: Callable[[str], object],
        alarm: Alarm,
        leave: Callable[[int], object] = os._exit,
        look_s: float | None = None,
    ) -> None:
        self._look_s = min(_LOOK_S, limit_s / 4) if look_s is None else look_s
        self._limit_s, self._note, self._alarm, self._leave = limit_s, note, alarm, leave
        self._patience_s = limit_s * _ALARM_LATER + 1.0
        self._works: set[Work] = set()
        self._seen: dict[Work, tuple[int, float]] = {}  # steps, and how long it has stood there
        self._wound = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ion-watchdog", daemon=True)
        self._thread.start()

    def begin(self) -> Work:
        """Watch over a new piece of work."""
        work = Work()
        self._works.add(work)
        if not self._wound:  # else the thread keeps it so: a batch should not pay for the kernel's timer
            self._wound = True
            self._alarm.wind(self._patience_s)
        return work

    def end(self, work: Work) -> None:
        """Let it go."""
        self._works.discard(work)

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        self._alarm.wind(0)
        self._thread.join(_LOOK_S)

    def look(self, passed_s: float) -> None:
        """Look at all work, *passed_s* after the last time."""
        works = tuple(self._works)
        self._wind(works)
        seen, self._seen = self._seen, {}
        for work in works:
            steps, stood_s = seen.get(work, (-1, 0.0))
            stood_s = stood_s + passed_s if steps == work.steps else 0.0
            self._seen[work] = (work.steps, stood_s)
            if stood_s >= self._limit_s:
                self._end_process(work)

    def _wind(self, works: tuple[Work, ...]) -> None:
        """Wind the alarm while there is work; work may begin at any moment of this."""
        if works:
            self._alarm.wind(self._patience_s)
        elif self._wound:
            self._wound = False  # first: who begins from now on winds it
            self._alarm.wind(0)
            if self._works:
                self._wound = True
                self._alarm.wind(self._patience_s)

    def _run(self) -> None:
        while not self._closing.wait(self._look_s):
            self.look(self._look_s)

    def _end_process(self, work: Work) -> None:
        logger.error("a job of batch %s hangs for %g s: this process ends", work.batch_id, self._limit_s)
        with contextlib.suppress(Exception):  # whether the note is written or not, this is the end
            self._note(work.batch_id)
        with contextlib.suppress(Exception):  # likewise
            faulthandler.dump_traceback(_STDERR, all_threads=True)
        self._leave(EXIT_CODE)
