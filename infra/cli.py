"""The root of the ``ion`` program: the producers' commands, given a fleet, and the commands that run one."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from infra.fleet import LocalFleet, sections
from infra.progress import steps
from infra.simulation.command import simulate_cache
from infra.stack_checks import stack_checks
from producers.cli.app import add, new_app, run
from producers.cli.collaborators import Collaborators
from producers.cli.report import FAILED, OK, UNAVAILABLE

if TYPE_CHECKING:
    from rich.console import Console


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
        (
            "ion up",
            "ion up --workers 4",
            "ion up --no-gateway --no-flower",
            "ION_BROKER_URL=redis://broker:6379/0 ion up",
        ),
    )
    add(app, "demo", demo, "Watch the fleet answer real messages.", ("ion demo",))
    add(
        app,
        "bench",
        bench,
        "Measure the fleet beside bare Celery.",
        ("ion bench --quick", "ion bench --json"),
    )
    add(
        app,
        "bench-cache",
        bench_cache,
        "Measure the cache: with it and without.",
        ("ion bench-cache --quick", "ion bench-cache --json"),
    )
    add(
        app,
        "bench-http",
        bench_http,
        "Measure the gateway beside bare FastAPI.",
        ("ion bench-http --quick", "ion bench-http --json"),
    )
    add(
        app,
        "bench-observability",
        bench_observability,
        "Measure what metrics, events, Flower and Sentry cost.",
        ("ion bench-observability --quick", "ion bench-observability --json"),
    )
    simulate = typer.Typer(
        help="What would be, on traffic that repeats itself.", no_args_is_help=True, rich_markup_mode=None
    )
    add(
        simulate,
        "cache",
        simulate_cache,
        "The answer cache beside the optimum.",
        ("ion simulate cache --quick", "ion simulate cache --seed 7 --json"),
    )
    app.add_typer(simulate, name="simulate")
    return app


def up(
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Worker processes; one per core by default.")
    ] = None,
    *,
    flower: Annotated[
        bool | None,
        typer.Option("--flower/--no-flower", help="Run Flower, as it does by default."),
    ] = None,
    gateway: Annotated[
        bool | None,
        typer.Option("--gateway/--no-gateway", help="Run the HTTP gateway, as it does by default."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show trouble only.")] = False,
) -> None:
    """Run the stack on this machine, in the foreground, until Ctrl-C: Valkey, workers, gateway, Flower."""
    from infra.local.settings import LocalSettings  # noqa: PLC0415
    from infra.local.up import run_until_stopped  # noqa: PLC0415
    from producers.cli.report import console  # noqa: PLC0415

    settings = LocalSettings()
    if gateway is None and "gateway" not in settings.model_fields_set:
        gateway = True
    if flower is None and "flower" not in settings.model_fields_set:
        flower = True
    chosen = {"workers": workers, "flower": flower, "gateway": gateway}
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
        with step("the same messages, asked again", len(messages)) as advance:
            again = as_app(settings, messages, advance)
        with (
            step(f"{len(messages):,} messages as a file, in batches", len(messages)) as advance,
            on_signals(stop),
        ):
            pipeline_run = as_pipeline(settings, messages, directory, stop, advance)
    if as_json:
        print_json(demo_json(app_run, again, pipeline_run))
    else:
        show(console(), app_run, again, pipeline_run, embedded=embedded)
    raise typer.Exit(OK if pipeline_run.failed == 0 and not stop.requested else FAILED)


class _Effort(Protocol):
    @property
    def total_steps(self) -> int:
        """How many steps are told of."""


EffortT = TypeVar("EffortT", bound=_Effort)
Figures = dict[str, Any]


def _measure(
    doing: str,
    effort: EffortT,
    run_bench: Callable[[EffortT, Callable[[], None]], Figures],
    show: "Callable[[Console, Figures], None]",
    *,
    as_json: bool,
) -> None:
    """Run a benchmark with its progress on stderr, and print its figures."""
    from producers.cli.report import console, print_json  # noqa: PLC0415

    with steps(console(stderr=True)) as step, step(doing, effort.total_steps) as advance:
        figures = run_bench(effort, lambda: advance(1))
    if as_json:
        print_json(figures)
    else:
        show(console(), figures)


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Within 45 s.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the fleet on this machine beside bare Celery."""
    from infra.bench.run import FULL, QUICK, run_bench  # noqa: PLC0415
    from infra.bench.show import show  # noqa: PLC0415

    _measure("measuring", QUICK if quick else FULL, run_bench, show, as_json=as_json)


def bench_cache(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Within a minute.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what the cache costs and gains on this machine: operations, processes, the batch path."""
    from infra.bench.cache import FULL, QUICK, run_bench  # noqa: PLC0415
    from infra.bench.cache_show import show  # noqa: PLC0415

    _measure("measuring the cache", QUICK if quick else FULL, run_bench, show, as_json=as_json)


def bench_http(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Within a minute and a half.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the HTTP gateway on this machine beside a bare FastAPI server.  It needs wrk (exit code 3)."""
    from infra.bench.http_load import HOW_TO_INSTALL, wrk_is_here  # noqa: PLC0415
    from infra.bench.http_run import FULL, QUICK, run_bench  # noqa: PLC0415
    from infra.bench.http_show import show  # noqa: PLC0415
    from producers.cli.report import tell  # noqa: PLC0415

    if not wrk_is_here():
        tell(f"error: {HOW_TO_INSTALL}")
        raise typer.Exit(UNAVAILABLE)
    _measure("measuring the gateway", QUICK if quick else FULL, run_bench, show, as_json=as_json)


def bench_observability(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Within a minute and a half.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure on this machine what metrics, events, Flower and Sentry cost the fleet and its callers."""
    from infra.bench.observability import FULL, QUICK, run_bench  # noqa: PLC0415
    from infra.bench.observability_show import show  # noqa: PLC0415

    _measure("measuring the cost", QUICK if quick else FULL, run_bench, show, as_json=as_json)
