"""Every error of the embedded stack.

StackError
+ StartFailed      a process did not come up: names it, says why, and quotes its last log lines
+ StartCancelled   somebody asked for a stop before everything was up
+ AlreadyRunning   another supervisor holds the state directory
+ AddressTaken     the gateway or Flower cannot listen: names the address and the options
+ UnsafeDirectory  a directory that must be private is not ours or cannot be used: names it and the fix
"""

from pathlib import Path


class StackError(Exception):
    """Base class of the stack's errors."""


class StartFailed(StackError):
    """A process did not become ready; *tail* holds its last log lines, oldest first."""

    def __init__(self, name: str, why: str, tail: tuple[str, ...]) -> None:
        super().__init__(name, why, tail)
        self.name, self.why, self.tail = name, why, tail

    def __str__(self) -> str:
        if not self.tail:
            return f"{self.name} {self.why}; it logged nothing"
        lines = "\n".join(f"  {line}" for line in self.tail)
        return f"{self.name} {self.why}; its last log lines:\n{lines}"


class StartCancelled(StackError):
    """The start was given up because a stop was asked for; everything started is stopped again."""

    def __str__(self) -> str:
        return "stopped before everything was up"


class AlreadyRunning(StackError):
    """Another supervisor, process *pid* (None: it could not be told), holds *state_dir*."""

    def __init__(self, pid: int | None, state_dir: Path) -> None:
        super().__init__(pid, state_dir)
        self.pid, self.state_dir = pid, state_dir

    def __str__(self) -> str:
        who = "another process" if self.pid is None else f"process {self.pid}"
        return (
            f"a stack is already running in {self.state_dir} ({who}); "
            "use that one, stop it, or set ION_STATE_DIR to another directory"
        )


class AddressTaken(StackError):
    """*place* is not available to *who*; *why* says what the system answered, and what to do."""

    def __init__(self, who: str, place: str, why: str) -> None:
        super().__init__(who, place, why)
        self.who, self.place, self.why = who, place, why

    def __str__(self) -> str:
        return f"{self.place} is not available: {self.why}, or leave {self.who} out with --no-{self.who}"


class UnsafeDirectory(StackError):
    """*path* cannot serve as a private directory: *problem* says why and *fix* what to do."""

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        super().__init__(path, problem, fix)
        self.path, self.problem, self.fix = path, problem, fix

    def __str__(self) -> str:
        return f"{self.path} {self.problem}; {self.fix}"
