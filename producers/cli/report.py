"""How commands talk: data to stdout, talk to stderr, one line for an error, an exit code for scripts.

Exit codes: 0 ok, 1 failed, 2 usage or invalid input, 3 unavailable, 128 + n stopped by signal n.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persona_system.errors import InvalidCatalogue, InvalidInput
from producers.errors import (
    ClientClosed,
    DeadlineExceeded,
    JobFailed,
    Overloaded,
    ProducerError,
    Unavailable,
)

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, USAGE, UNAVAILABLE = 0, 1, 2, 3
INTERRUPTED = 130  # 128 + SIGINT

_PREFIXES = {  # of environment variables; the others' is ION_
    "GatewaySettings": "ION_GATEWAY_",
    "FlowerSettings": "ION_FLOWER_",
    "ChannelSettings": "ION_ALERT_",
}
_DOCTOR = "`ion doctor` looks for the cause"
_FLEET = "start a fleet with `ion up`, or point ION_BROKER_URL at one; `ion doctor` looks for the cause"


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error as the user sees it, and the exit code that goes with it."""

    exit_code: int
    code: str
    field: str
    problem: str
    fix: str

    def __str__(self) -> str:
        subject = f"{self.field} {self.problem}" if self.field else self.problem
        return f"error: {subject}; {self.fix}" if self.fix else f"error: {subject}"

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {"error": {"code": self.code, "field": self.field, "problem": self.problem, "fix": self.fix}}


def explain(error: BaseException) -> Trouble:
    """Return what to tell about *error*.  An error that is not ours is a bug and never quoted."""
    if isinstance(error, InvalidInput):
        return Trouble(USAGE, error.code, error.field, error.problem, error.fix)
    if isinstance(error, Unavailable | Overloaded | ClientClosed):
        advised = "ion up" in str(error) or "set ION_" in str(error)
        return Trouble(UNAVAILABLE, error.code, "", str(error).rstrip("."), _DOCTOR if advised else _FLEET)
    if isinstance(error, DeadlineExceeded):
        return Trouble(UNAVAILABLE, error.code, "", "no worker answered in time", _DOCTOR)
    if isinstance(error, JobFailed):
        return Trouble(FAILED, error.code, "", str(error), _DOCTOR)
    if isinstance(error, ProducerError):
        return Trouble(FAILED, error.code, "", str(error), _DOCTOR)
    if isinstance(error, InvalidCatalogue):
        return Trouble(FAILED, "INVALID_CATALOGUE", "", str(error), "correct the file, or install again")
    if isinstance(error, KeyboardInterrupt):
        return Trouble(INTERRUPTED, "INTERRUPTED", "", "stopped on request", "")
    return _explain_by_module(error)


def _explain_by_module(error: BaseException) -> Trouble:
    """Explain errors of modules that a command may not have loaded, without loading them."""
    bulk = sys.modules.get("producers.bulk.errors")
    if bulk is not None and isinstance(error, bulk.BulkError):
        away, busy = isinstance(error, bulk.LedgerAway), isinstance(error, bulk.RunBusy)
        exit_code = UNAVAILABLE if away else FAILED if busy else USAGE
        code = "UNAVAILABLE" if away else "RUN_BUSY" if busy else "UNUSABLE_FILE"
        return Trouble(exit_code, code, error.file, error.problem, error.fix)
    store = sys.modules.get("workers.store.errors")
    if store is not None and isinstance(error, store.StoreUnavailable):
        problem = f"{error.what} is not available: {error.why}"
        return Trouble(UNAVAILABLE, "UNAVAILABLE", "", problem, error.fix or "see ION_DATABASE_URL")
    if store is not None and isinstance(error, store.NoSuchLetter | store.SeveralLetters):
        return Trouble(USAGE, "UNKNOWN_LETTER", "ID", error.problem, error.fix)
    if store is not None and isinstance(error, store.UnusableUrl):
        return Trouble(USAGE, "INVALID_SETTING", error.field, error.problem, error.fix)
    monitoring = sys.modules.get("workers.monitoring.alerts.errors")
    if monitoring is not None and isinstance(error, monitoring.InvalidRules):
        return Trouble(USAGE, "INVALID_RULES", error.place, error.problem, error.fix)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        named = "_".join(str(part) for part in first["loc"]).upper()
        field = f"{_PREFIXES.get(error.title, 'ION_')}{named}" if named else "the environment"
        problem = f"is not valid: {first['msg'].removeprefix('Value error, ')}"
        return Trouble(USAGE, "INVALID_SETTING", field, problem, "correct or unset it")
    return Trouble(
        FAILED,
        "INTERNAL",
        "",
        f"internal error: {type(error).__name__}{_place(error)}",
        "see more with ion --debug",
    )


def _place(error: BaseException) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return ""
    return f" at {step.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno}"


CatalogueDir = Annotated[
    Path | None,
    typer.Option(
        "--catalogue",
        envvar="ION_CATALOGUE_DIR",
        exists=True,
        file_okay=False,
        help="A catalogue of your own: matrix, personas, templates.",
    ),
]
"""The option of commands that read the catalogue in process, as workers read the variable."""


def print_json(value: object) -> None:
    """Print *value* to stdout as JSON in UTF-8, whatever the locale; objects over several lines."""
    data = json.dumps(value, ensure_ascii=False, indent=2)
    sys.stdout.flush()
    sys.stdout.buffer.write(data.encode(errors="replace") + b"\n")
    sys.stdout.buffer.flush()


def tell(line: str) -> None:
    """Print one line of talk to stderr."""
    print(line, file=sys.stderr, flush=True)


def console(*, stderr: bool = False) -> "Console":
    """Return a console that colours only terminals, and honours NO_COLOR and the terminal's width."""
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=stderr, highlight=False, soft_wrap=False)
