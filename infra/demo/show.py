"""What the demo prints, for people and, as JSON, for programs."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from infra.demo.run import AppRun, PipelineRun

_BAR_CHARS = 32
_FIRST_LINES, _LAST_LINES = 4, 9  # of a sample prompt: who speaks, and what was asked
_COLOURS = ("magenta", "cyan", "green", "yellow")
_LANGUAGES = {"ko": "Korean", "en": "English"}


def show(console: Console, app: AppRun, again: AppRun, pipeline: PipelineRun, *, embedded: bool) -> None:
    """Print the summary of the runs."""
    console.print(Rule("what the fleet did"))
    console.print(_speeds(app, again, pipeline))
    console.print(Rule("who answers"))
    console.print(_bars({name: app.personas[name] for name in sorted(app.personas)}))
    console.print(_bars({_LANGUAGES[code]: count for code, count in app.languages.most_common()}))
    console.print(Rule(f"{len(app.samples)} of the {app.jobs:,} prompts"))
    for sample in _samples(app):
        console.print(sample)
    console.print(Rule("where it is, and what next"))
    console.print(_next_steps(pipeline, embedded=embedded))


def as_json(app: AppRun, again: AppRun, pipeline: PipelineRun) -> dict[str, Any]:
    """Return the summary as JSON-like values."""
    return {
        **{
            name: {
                "jobs": run.jobs,
                "cached": run.cached,
                "jobs_per_s": round(run.jobs / run.seconds, 1),
                **{f"p{percent}_ms": round(run.percentile_ms(percent), 3) for percent in (50, 95, 99)},
            }
            for name, run in (("app", app), ("again", again))
        },
        "pipeline": {
            "jobs": pipeline.ok,
            "cached": pipeline.cached,
            "failed": pipeline.failed,
            "jobs_per_s": round(pipeline.ok / pipeline.seconds, 1),
            "outcomes": str(pipeline.outcomes),
        },
        "personas": dict(app.personas),
        "languages": dict(app.languages),
    }


def _speeds(app: AppRun, again: AppRun, pipeline: PipelineRun) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "messages", "cached", "jobs/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="left" if not column else "right")
    for title, run in (("as an app: 100 callers", app), ("the same, asked again", again)):
        percentiles = [f"{run.percentile_ms(percent):.1f}" for percent in (50, 95, 99)]
        table.add_row(
            title,
            f"{run.jobs:,}",
            _share(run.cached, run.jobs),
            f"{run.jobs / run.seconds:,.0f}",
            *percentiles,
        )
    table.add_row(
        "as a pipeline: file to file",
        f"{pipeline.ok:,}",
        _share(pipeline.cached, pipeline.ok),
        f"{pipeline.ok / pipeline.seconds:,.0f}",
        *("-", "-", "-"),
    )
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _bars(counts: Mapping[str, int]) -> RenderableType:
    total, most = sum(counts.values()), max(counts.values(), default=1)
    table = Table(box=None, pad_edge=False, show_header=False)
    for number, (name, count) in enumerate(counts.items()):
        bar = Text("█" * max(1, round(_BAR_CHARS * count / most)), style=_COLOURS[number % len(_COLOURS)])
        table.add_row(f"{name:<8}", bar, f"{count:,}", f"{count / total:.0%}")
    return Group(table, Text())


def _samples(app: AppRun) -> list[RenderableType]:
    panels: list[RenderableType] = []
    for message, response in app.samples:
        lines = response.content.splitlines()
        left_out = len(lines) - _FIRST_LINES - _LAST_LINES
        if left_out > 1:
            lines = [*lines[:_FIRST_LINES], f"… {left_out} more lines …", *lines[-_LAST_LINES:]]
        title = Text(f"{response.persona_used} · {response.resonance_key}", style="bold")
        panels.append(Text(f"“{message.text}”", style="italic"))
        panels.append(Panel(Text("\n".join(lines)), title=title, title_align="left", border_style="dim"))
    return panels


def _next_steps(pipeline: PipelineRun, *, embedded: bool) -> RenderableType:
    steps = Table(box=None, pad_edge=False, show_header=False)
    steps.add_row("every outcome", str(pipeline.outcomes))
    if embedded:
        steps.add_row("keep a fleet running", "ion up")
    steps.add_row("ask for one prompt", 'ion process "배포가 또 실패했어요. 어떻게 해야 하죠?"')
    steps.add_row("see why a mentor is chosen", "ion route --all")
    steps.add_row("see what the cache does", "ion cache stats")
    steps.add_row("run a file of your own", "ion bulk run messages.jsonl -o answers.jsonl")
    steps.add_row("measure this machine", "ion bench --quick")
    return steps
