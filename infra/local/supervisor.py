"""Start processes in order, keep them running, stop them in reverse order.

One thread owns all children: it starts them, reads their output, asks whether they are ready, restarts
what dies and stops everything.  Other threads only ask (`request_stop`, `status`) and wait.

Units:   seconds on a monotonic clock.
Errors:  StartFailed and StartCancelled, from ``start``.
"""

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra.local import policy
from infra.local.errors import StartCancelled, StartFailed
from infra.local.guard import Guard
from infra.local.policy import Verdict
from infra.local.process import Child, ProcessSpec, State

ITSELF = "ion"  # the name under which the supervisor's own lines are logged
HURRY = 2  # requests to stop from which nobody waits for anything
_BUSY_TICK_S, _IDLE_TICK_S = 0.03, 0.25
_AFTER_KILL_S = 3.0  # what SIGKILL does not end in this time is stuck in the kernel
_WATCHDOG_BUDGET_S = 6.0  # for all stages together, when it has to clean up after us


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One row of what is running."""

    name: str
    pid: int | None
    state: State
    restarts: int
    where: str


class Supervisor:
    """Runs *stages* one after the other, each stage's processes side by side.

    *on_line* gets each log line with the name of who wrote it, in the supervisor's thread, so it must
    neither block nor raise.  *keep_fds* stay open until no child is left, even if this process is killed.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[ProcessSpec]],
        on_line: Callable[[str, str], None],
        *,
        inherited: Mapping[str, str],
        keep_fds: tuple[int, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = [[Child(spec, number) for spec in stage] for number, stage in enumerate(stages)]
        self._on_line, self._inherited, self._clock = on_line, inherited, clock
        self._keep_fds = keep_fds
        self._wake_read, self._wake_write = -1, -1
        self._requests = 0
        self._failure: BaseException | None = None
        self._settled, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Return when every awaited process is ready; otherwise stop them all and raise why."""
        self._guard = Guard(_WATCHDOG_BUDGET_S / max(1, len(self._stages)), self._keep_fds)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread.start()
        self._settled.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def request_stop(self) -> None:
        """Ask for a stop; from the second time on, for one without grace.  Safe in a signal handler."""
        self._requests += 1
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it has ended
            os.write(self._wake_write, b"!")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until everything has stopped; say whether it has.  Raises what broke the supervisor."""
        ended = self._ended.wait(timeout_s)
        if ended and self._failure is not None:
            raise self._failure
        return ended

    def stop(self) -> None:
        """Stop every process in reverse order and return when none is left."""
        if not self._thread.ident:
            return
        if not self._requests:
            self.request_stop()
        try:
            self._thread.join()
        except KeyboardInterrupt:  # impatience: once more, without grace, before it goes on its way
            self._requests += HURRY
            self._thread.join()
            raise

    def status(self) -> tuple[ProcessStatus, ...]:
        """Return the processes in the order of their start."""
        return tuple(
            ProcessStatus(c.spec.name, c.pid, c.state, max(0, c.starts - 1), c.spec.where)
            for c in self._children()
        )

    # -- the supervisor's thread ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for stage in self._stages:
                self._start_stage(stage)
            self._settled.set()
            while not self._requests:
                self._tick(starting=False)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits; children must not outlive it
            self._failure = error
        finally:
            try:
                self._stop_all()
            finally:
                self._guard.close()
                self._selector.close()
                wake, self._wake_write = (self._wake_read, self._wake_write), -1
                for end in wake:
                    os.close(end)
                self._settled.set()
                self._ended.set()

    def _start_stage(self, stage: list[Child]) -> None:
        begun = self._clock()
        for child in stage:
            self._launch(child)
        awaited = [child for child in stage if child.spec.awaited]
        while True:
            verdicts = [self._verdict(child, begun) for child in awaited]
            if self._requests:
                raise StartCancelled
            for child, verdict in zip(awaited, verdicts, strict=True):
                if verdict is Verdict.FAILED:
                    raise StartFailed(child.spec.name, self._why(child), tuple(child.tail))
            if all(verdict is Verdict.READY for verdict in verdicts):
                return
            self._tick(starting=True)

    def _verdict(self, child: Child, begun: float) -> Verdict:
        return policy.start_verdict(
            child.spec.restart,
            ready=child.state is State.READY,
            crashes=child.crashes,
            waited_s=self._clock() - begun,
            timeout_s=child.spec.ready_timeout_s,
        )

    def _why(self, child: Child) -> str:
        if child.crashes >= child.spec.restart.start_attempts:
            return f"ended {child.crashes} times while starting"
        return f"was not ready within {child.spec.ready_timeout_s:g} s"

    def _tick(self, *, starting: bool) -> None:
        """Wait for output, a wake-up or a moment; then see to every child."""
        self._pump(_BUSY_TICK_S if starting or self._someone_is_coming_up() else _IDLE_TICK_S)
        for child in self._children():
            self._see_to(child)
        alive = [(child.pid, child.stage) for child in self._children() if child.pid is not None]
        if self._guard.renew(alive):
            self._say("the watchdog ended; another one is watching")

    def _someone_is_coming_up(self) -> bool:
        return any(child.state is not State.READY for child in self._children())

    def _pump(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                os.read(self._wake_read, 64)
            else:
                self._forward(key.data)

    def _forward(self, child: Child) -> None:
        lines, open_ = child.read_lines()
        for line in lines:
            self._on_line(child.spec.name, line)
        if not open_:
            self._ignore_output(child)

    def _ignore_output(self, child: Child) -> None:
        if child.output is not None and child.output in self._selector.get_map():
            self._selector.unregister(child.output)

    def _see_to(self, child: Child) -> None:
        now = self._clock()
        code = child.exit_code()
        if code is not None:
            self._after_crash(child, code, now)
        elif child.state is State.STARTING:
            if child.spec.ready():
                child.state = State.READY
                self._say(f"{child.spec.name} is ready")
            elif now - child.started_at >= child.spec.ready_timeout_s:
                self._say(f"{child.spec.name} was not ready within {child.spec.ready_timeout_s:g} s: killed")
                child.kill_group()
        elif child.state is State.DOWN and child.starts and now >= child.due_at:
            self._launch(child)

    def _after_crash(self, child: Child, code: int, now: float) -> None:
        rules = child.spec.restart
        child.crashes = policy.crashes_after(rules, child.crashes, now - child.started_at)
        pause = policy.delay_s(rules, child.crashes)
        child.due_at = now + pause
        self._bury(child)
        self._say(f"{child.spec.name} ended ({exit_text(code)}); next attempt in {pause:g} s")
        if self._settled.is_set() and policy.is_loud(rules, child.crashes):
            self._say(f"{child.spec.name.upper()} HAS ENDED {child.crashes} TIMES IN A ROW; it last said:")
            for line in child.tail:
                self._say(f"  {line}")

    def _launch(self, child: Child) -> None:
        child.launch(self._guard, self._inherited, self._clock())
        assert child.output is not None  # noqa: S101 - it was just launched
        self._selector.register(child.output, selectors.EVENT_READ, child)

    def _bury(self, child: Child) -> None:
        self._ignore_output(child)
        for line in child.bury(self._guard):
            self._on_line(child.spec.name, line)

    def _stop_all(self) -> None:
        for stage in reversed(self._stages):
            alive = [child for child in stage if child.pid is not None]
            asked = self._clock()
            for child in alive:
                child.ask_to_stop()
            while alive := [child for child in alive if not self._has_ended(child)]:
                waited = self._clock() - asked
                for child in alive:
                    self._lose_patience(child, waited)
                if all(waited >= child.spec.stop_grace_s + _AFTER_KILL_S for child in alive):
                    break
                self._pump(_BUSY_TICK_S)

    def _has_ended(self, child: Child) -> bool:
        if child.exit_code() is None:
            return False
        self._bury(child)
        return True

    def _lose_patience(self, child: Child, waited_s: float) -> None:
        if self._requests < HURRY and waited_s < child.spec.stop_grace_s:
            return
        if child.state is not State.DOWN:  # said once
            child.state = State.DOWN
            self._say(f"{child.spec.name} did not stop within {waited_s:.1f} s: killed")
        child.kill_group()

    def _children(self) -> list[Child]:
        return [child for stage in self._stages for child in stage]

    def _say(self, line: str) -> None:
        self._on_line(ITSELF, line)


def exit_text(code: int) -> str:
    """Return how a process ended, for people: ``exit code 1`` or ``signal 9``."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
