"""The ``ion`` program: its commands, and the one place where errors become lines and exit codes."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from producers.cli import (
    alerts,
    alerts_channels,
    alerts_export,
    alerts_silences,
    analyze,
    audit,
    bulk,
    bulk_runs,
    cache,
    config,
    dashboard,
    dead,
    doctor,
    gateway,
    jobs,
    keys,
    personas,
    process,
    route,
)
from producers.cli.collaborators import Collaborators
from producers.cli.report import OK, USAGE, Trouble, explain, print_json, tell


def new_app() -> typer.Typer:
    """Return the program with the commands of this package; a root may add its own."""
    # Rich help and completion would double the start-up time.
    app = typer.Typer(
        name="ion",
        help="Turn people's messages into the right mentor's prompts, through a fleet of workers.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    add(app, "process", process.process, "One message: get its mentor and prompt.", process.PROCESS_EXAMPLES)
    add(app, "recommend", process.recommend, "Which mentor suits a situation.", process.RECOMMEND_EXAMPLES)
    add(app, "route", route.route, "Who answers a resonance key, and why.", route.ROUTE_EXAMPLES)
    add(app, "analyze", analyze.analyze, "What a text sounds like.", analyze.ANALYZE_EXAMPLES)
    add(app, "personas", personas.personas, "The mentors, or one of them.", personas.PERSONAS_EXAMPLES)
    group = typer.Typer(
        help="Files of messages through the fleet.", no_args_is_help=True, rich_markup_mode=None
    )
    add(group, "run", bulk.run, "A file in, a file of answers out.", bulk.RUN_EXAMPLES)
    add(group, "resume", bulk.resume, "Go on with a run that was cut short.", bulk.RESUME_EXAMPLES)
    add(group, "list", bulk_runs.list_runs, "All runs, newest first.", bulk_runs.LIST_EXAMPLES)
    add(group, "show", bulk_runs.show, "How far one run is, and where.", bulk_runs.SHOW_EXAMPLES)
    add(group, "cancel", bulk_runs.cancel, "Stop a run in good order.", bulk_runs.CANCEL_EXAMPLES)
    app.add_typer(group, name="bulk")
    app.add_typer(_cache_group(), name="cache")
    app.add_typer(_dead_group(), name="dead")
    app.add_typer(_jobs_group(), name="jobs")
    add(app, "gateway", gateway.gateway, "The fleet over HTTP, until Ctrl-C.", gateway.GATEWAY_EXAMPLES)
    app.add_typer(_keys_group(), name="keys")
    app.add_typer(_audit_group(), name="audit")
    app.add_typer(_dashboard_group(), name="dashboard")
    app.add_typer(_alerts_group(), name="alerts")
    add(app, "config", config.config, "The settings in effect.", config.CONFIG_EXAMPLES)
    add(app, "doctor", doctor.doctor, "Why something does not work.", doctor.DOCTOR_EXAMPLES)
    return app


def _cache_group() -> typer.Typer:
    group = typer.Typer(help="The answer cache of the fleet.", no_args_is_help=True, rich_markup_mode=None)
    add(group, "stats", cache.stats, "How jobs ended, hit rates, the store.", cache.STATS_EXAMPLES)
    add(group, "top", cache.top, "The requests that are asked most.", cache.TOP_EXAMPLES)
    add(group, "explain", cache.explain, "Would this hit, and why or why not.", cache.EXPLAIN_EXAMPLES)
    add(group, "invalidate", cache.invalidate, "Void answers by their tags.", cache.INVALIDATE_EXAMPLES)
    add(group, "clear", cache.clear, "Void all answers.", cache.CLEAR_EXAMPLES)
    add(group, "warm", cache.warm, "Have the popular answers at hand.", cache.WARM_EXAMPLES)
    return group


def _dead_group() -> typer.Typer:
    group = typer.Typer(help="What no worker could answer.", no_args_is_help=True, rich_markup_mode=None)
    add(group, "list", dead.list_letters, "Dead letters, latest first, and counts.", dead.LIST_EXAMPLES)
    add(group, "show", dead.show, "Why one is dead, and its story.", dead.SHOW_EXAMPLES)
    add(group, "retry", dead.retry, "Send letters again.", dead.RETRY_EXAMPLES)
    add(group, "purge", dead.purge, "Delete letters for good.", dead.PURGE_EXAMPLES)
    return group


def _jobs_group() -> typer.Typer:
    group = typer.Typer(
        help="One job, from its sender to its end.", no_args_is_help=True, rich_markup_mode=None
    )
    add(group, "trace", jobs.trace, "Who had a job when, and how it ended.", jobs.TRACE_EXAMPLES)
    return group


def _keys_group() -> typer.Typer:
    group = typer.Typer(help="API keys of the HTTP gateway.", no_args_is_help=True, rich_markup_mode=None)
    add(group, "create", keys.create, "Make a key, and show it once.", keys.CREATE_EXAMPLES)
    add(group, "list", keys.list_keys, "All keys, without their secrets.", keys.LIST_EXAMPLES)
    add(group, "revoke", keys.revoke, "Refuse a key from now on.", keys.REVOKE_EXAMPLES)
    return group


def _audit_group() -> typer.Typer:
    group = typer.Typer(short_help="Who did what with the gateway.", rich_markup_mode=None)
    group.callback(invoke_without_command=True, epilog=_epilog(audit.AUDIT_EXAMPLES))(audit.audit)
    add(group, "purge", audit.purge, "Delete old entries for good.", audit.PURGE_EXAMPLES)
    return group


def _dashboard_group() -> typer.Typer:
    group = typer.Typer(help="What the fleet does, in figures.", no_args_is_help=True, rich_markup_mode=None)
    for name, summary in dashboard.NAMES.items():
        add(group, name, dashboard.command_of(name), summary, dashboard.examples_of(name))
    add(group, "list", dashboard.list_dashboards, "Which there are.", dashboard.LIST_EXAMPLES)
    add(group, "export", dashboard.export, "Files for Grafana.", dashboard.EXPORT_EXAMPLES)
    return group


def _alerts_group() -> typer.Typer:
    group = typer.Typer(help="What is wrong, and who knows.", no_args_is_help=True, rich_markup_mode=None)
    add(group, "list", alerts.list_alerts, "What is wrong now.", alerts.LIST_EXAMPLES)
    add(group, "show", alerts.show, "All about one alert.", alerts.SHOW_EXAMPLES)
    add(group, "ack", alerts.ack, "Take alerts on.", alerts.ACK_EXAMPLES)
    add(group, "history", alerts.history, "What was wrong.", alerts.HISTORY_EXAMPLES)
    quiet = alerts_silences
    add(group, "silence", quiet.silence, "Tell nobody, for a while.", quiet.SILENCE_EXAMPLES)
    add(group, "unsilence", quiet.unsilence, "End a silence.", quiet.UNSILENCE_EXAMPLES)
    add(group, "silences", quiet.silences, "What nobody is told of.", quiet.SILENCES_EXAMPLES)
    add(group, "rules", alerts.rules, "What alerts come from.", alerts.RULES_EXAMPLES)
    way = alerts_channels
    add(group, "channels", way.channels, "Where notices go, and arrive.", way.CHANNELS_EXAMPLES)
    add(group, "digest", way.digest, "The last 24 hours, as mailed.", way.DIGEST_EXAMPLES)
    add(group, "test", alerts.send_test, "Whether people would hear of it.", alerts.TEST_EXAMPLES)
    add(
        group,
        "export",
        alerts_export.export,
        "For Prometheus and Alertmanager.",
        alerts_export.EXPORT_EXAMPLES,
    )
    return group


def add(
    app: typer.Typer, name: str, command: Callable[..., None], summary: str, examples: Sequence[str]
) -> None:
    """Add *command* to *app*: *summary* in the list of commands, *examples* at the end of its help."""
    app.command(name, short_help=summary, epilog=_epilog(examples))(command)


def _epilog(examples: Sequence[str]) -> str:
    # a line that is only \b keeps the lines after it as they are
    return "\n".join(("\b", "Examples:", *(f"  {example}" for example in examples)))


def run(app: typer.Typer, given: Collaborators, argv: Sequence[str]) -> int:
    """Run the command line *argv* and return its exit code; an error becomes one line, never a traceback.

    A broken pipe, when whoever reads our output has seen enough, is Typer's: it ends in silence with 1.
    """
    try:
        code: Any = app(args=list(argv), prog_name="ion", obj=given, standalone_mode=False)
    except typer.Abort:
        return _report(explain(KeyboardInterrupt()), argv)
    except TyperException as error:
        return _report_usage(error, argv)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in argv[:1]:
            raise
        return _report(explain(error), argv)
    return code if isinstance(code, int) else OK


def _root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Take the options that come before the command; ``run`` looks at --debug itself."""


def _report_usage(error: TyperException, argv: Sequence[str]) -> int:
    problem = error.format_message().rstrip(".")
    if problem.startswith("Usage:"):  # no command was given, and the help is the answer
        tell(problem)
        return USAGE
    path = " ".join(["ion", *_command(argv)])
    return _report(Trouble(USAGE, "USAGE", "", _lower(problem), f"see {path} --help"), argv)


_GROUPS = frozenset({"alerts", "bulk", "cache", "dashboard", "dead", "jobs", "keys"})


def _command(argv: Sequence[str]) -> list[str]:
    words = [word for word in argv if not word.startswith("-")]
    return words[: 2 if words[:1] and words[0] in _GROUPS else 1]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _report(trouble: Trouble, argv: Sequence[str]) -> int:
    if "--json" in argv:
        print_json(trouble.as_json())
    tell(str(trouble))
    return trouble.exit_code
