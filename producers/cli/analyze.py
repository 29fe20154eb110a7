"""``ion analyze``: what a text sounds like.  In process; needs no fleet."""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from persona_system.errors import InvalidInput
from persona_system.models import Analysis
from producers.cli.report import console, print_json

STDIN = "-"

ANALYZE_EXAMPLES = (
    'ion analyze "배포가 또 실패했어요. 어떻게 해야 하죠?"',
    'ion analyze "Could you check my plan before Friday?" --json',
)


def analyze(
    text: Annotated[str, typer.Argument(help="The message; - reads standard input.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell the resonance key that a text gives, with how sure the analyser is of each part."""
    from persona_system.pipeline import load_pipeline  # noqa: PLC0415
    from persona_system.text import check_text  # noqa: PLC0415

    analyser = load_pipeline().analyser
    analysis = analyser.analyse(check_text(text_or_stdin(text)))
    found = analysis_json(analysis)
    if as_json:
        print_json({**found, "analyser": analyser.version})
        return
    key = analysis.key
    print_table(
        [
            ("key", found["resonance_key"]),
            ("language", {"ko": "Korean", "en": "English"}.get(analysis.language, analysis.language)),
            (
                "tone",
                f"{key.tone}, confidence {analysis.tone_confidence:.2f}, then {analysis.tone_runner_up}",
            ),
            ("pace", f"{key.pace}, confidence {analysis.pace_confidence:.2f}"),
            ("intent", f"{key.intent}, confidence {analysis.intent_confidence:.2f}"),
        ]
    )


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """Return an Analysis as ``--json`` prints it: its key as text, the rest as it is."""
    fields = asdict(analysis)
    fields.pop("key")
    return {"resonance_key": str(analysis.key), **fields}


def print_table(rows: list[tuple[str, str]]) -> None:
    """Print labelled lines to stdout."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(label, Text(value))
    console().print(table)


def text_or_stdin(text: str, field: str = "TEXT") -> str:
    """Return *text*, or what standard input holds if it is ``-`` (one newline at its end is dropped)."""
    if text != STDIN:
        return text
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(field, f"is not valid UTF-8 (byte {error.start})", "send UTF-8 text") from None
