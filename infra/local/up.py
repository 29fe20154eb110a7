"""Run the stack in the foreground until somebody stops it: the engine of ``ion up``."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from rich.console import Console
from rich.table import Table

from infra.flower.keeping import Keeping
from infra.local.commands import WorkerCommand, worker_command
from infra.local.errors import StackError, StartCancelled
from infra.local.logs import LinePrinter, prefixer
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack, ProcessInfo
from infra.local.supervisor import ITSELF
from producers.gateway.settings import GatewaySettings

STOPPED, FAILED = 0, 1  # exit codes
_MB = 1_000_000
_MESSAGE = "배포가 또 실패했어요. 어떻게 해야 하죠?"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_stopped(
    settings: LocalSettings,
    console: Console,
    *,
    quiet: bool = False,
    command: WorkerCommand = worker_command,
) -> int:
    """Run the stack until Ctrl-C, SIGTERM or a closed terminal; return the exit code.

    *console* should write to stderr.  With *quiet*, only the supervisor's own lines about trouble are
    shown.  A second Ctrl-C stops without grace.  Call it from the main thread: it handles signals.
    """
    names = process_names(settings)
    colour = console.is_terminal and not console.no_color
    printer = LinePrinter(console.file, prefixer(names, colour=colour))
    up = threading.Event()

    def on_line(name: str, line: str) -> None:
        if line.strip() and (not quiet or (name == ITSELF and up.is_set())):
            printer(name, line)

    stack = LocalStack(settings, on_line, command)
    try:
        with _stop_on_signals(stack.request_stop):
            stack.start()
            if not quiet:
                console.print(running_table(stack.processes()), highlight=False)
                trial = whats_next(stack.gateway, how_to_watch(stack, console))
                console.print(trial, highlight=False, markup=False, soft_wrap=True)
            up.set()
            stack.wait()
            up.clear()
            stack.stop()
    except StartCancelled:
        return STOPPED
    except StackError as error:
        printer.close()
        console.print(str(error), style="bold red", markup=False, highlight=False)
        return FAILED
    finally:
        stack.stop()
        printer.close()
    if not quiet:
        with contextlib.suppress(OSError):  # the terminal may be gone
            console.print("stopped", highlight=False)
    return STOPPED


def process_names(settings: LocalSettings) -> Sequence[str]:
    """Return the names that appear before log lines, in the order of their colours."""
    names = [f"worker{index}" for index in range(1, settings.workers + 1)]
    servers = ["valkey"] if settings.broker_url is None else []
    if settings.embeds_cache:
        servers.append("cache")
    return [*servers, *names, "beat", "flower", "gateway"]


def running_table(processes: Sequence[ProcessInfo]) -> Table:
    """Return what is running, as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("process")
    table.add_column("pid", justify="right")
    table.add_column("memory", justify="right")
    table.add_column("where", overflow="fold")
    for process in processes:
        memory = "" if process.rss_bytes is None else f"{process.rss_bytes / _MB:.0f} MB"
        table.add_row(process.name, str(process.pid or ""), memory, process.where)
    return table


def whats_next(gateway: GatewaySettings | None = None, watching: str = "") -> str:
    """Return what to try while the stack runs: its *gateway*, if it has one, and *watching* it."""
    return (
        "\nTry in another terminal, in this directory:\n"
        f'  ion process "{_MESSAGE}"\n'
        f"{'' if gateway is None else _by_http(gateway)}"
        "  ion doctor\n"
        f"{watching}"
        "Ctrl-C stops everything.\n"
    )


def how_to_watch(stack: LocalStack, console: Console) -> str:
    """Return where to watch the stack, and as whom; a password is shown to people, not to log files."""
    if stack.flower is None:
        return ""
    told = "as in ION_FLOWER_BASIC_AUTH"
    if stack.flower.basic_auth is None:
        kept = Keeping.of(stack.settings.state_dir)
        made = kept.logins(stack.flower)[0].partition(":")[2]
        told = made if console.is_terminal else f"in {kept.password_file}"
    return f"  a browser at {stack.flower.url}, user {stack.flower.users}, password {told}\n"


def _by_http(gateway: GatewaySettings) -> str:
    """Return the same request for curl, which takes a key unless anybody may ask, and where to watch."""
    dashboards = f"  a browser at {gateway.url}/dashboards\n" if gateway.dashboards else ""
    key = "" if gateway.anonymous else '-H "X-API-Key: $KEY" '  # `ion keys create` shows it
    return (
        f"  curl {gateway.url}/api/v2/process {key}-H 'Content-Type: application/json' "
        f'-d \'{{"user_input": "{_MESSAGE}"}}\'\n'
        f"{dashboards}"
    )


@contextlib.contextmanager
def _stop_on_signals(request_stop: Callable[[], None]) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        request_stop()

    heeded = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
