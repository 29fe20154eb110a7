"""``ion route``: who answers a resonance key.  In process; needs no fleet."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persona_system.errors import InvalidInput
from producers.cli.report import CatalogueDir, console, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from persona_system.models import Decision
    from persona_system.vocabulary import ResonanceKey

Routed = tuple["ResonanceKey", "Decision"]

COLOURS = ("magenta", "cyan", "green", "yellow", "blue", "red")  # by the personas' order

ROUTE_EXAMPLES = (
    "ion route calm-medium-learning",
    "ion route frustrated-burst-problem-solving --json",
    "ion route --all",
)


def route(
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY...", help="tone-pace-intent")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All 216 keys.")] = False,
    catalogue: CatalogueDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell which persona answers a resonance key, and how sure the router is."""
    from persona_system.catalogue import load_catalogue  # noqa: PLC0415

    if every == bool(keys):
        problem = "and --all exclude each other" if every else "is missing"
        raise InvalidInput("KEY", problem, "give keys, or --all")
    router = load_catalogue(catalogue).router
    routed = list(router.decisions.items()) if every else [router.resolve(key) for key in keys or ()]
    if as_json:
        answers = [decision_json(key, decision) for key, decision in routed]
        print_json(answers[0] if len(answers) == 1 else answers)
        return
    names = router.affinity.personas
    out = console()
    if every:
        out.print(_heat_map(routed, names))
        out.print(_winners(routed, names))
    else:
        for key, decision in routed:
            out.print(_card(key, decision, names))


def decision_json(key: "ResonanceKey", decision: "Decision") -> dict[str, Any]:
    """Return one decision as ``--json`` prints it; why it fell is for people, and in their view."""
    return {
        "key": str(key),
        "primary": decision.primary,
        "secondary": decision.secondary,
        "confidence": decision.confidence,
        "scores": dict(decision.scores),
    }


def colour_of(persona: str, names: Sequence[str]) -> str:
    """Return the colour of *persona*: its own as long as there are as many colours as personas."""
    return COLOURS[names.index(persona) % len(COLOURS)] if persona in names else "white"


def _card(key: "ResonanceKey", decision: "Decision", names: Sequence[str]) -> "RenderableType":
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    winner = (decision.primary, f"bold {colour_of(decision.primary, names)}")
    lines = [Text.assemble((str(key), "bold"), "  ->  ", winner)]
    for name, score in sorted(decision.scores.items(), key=lambda entry: -entry[1]):
        lines.append(score_bar(name, score, names))
    lines.append(Text(f"  confidence {decision.confidence:.3f}. {decision.reasoning}"))
    return Group(*lines, "")


def score_bar(name: str, score: float, names: Sequence[str]) -> "Text":
    """Return a line with a persona's score as number and bar."""
    from rich.text import Text  # noqa: PLC0415

    return Text.assemble(f"  {name:<6} {score:.3f} ", ("█" * round(score * 30), colour_of(name, names)))


def _heat_map(routed: Sequence[Routed], names: Sequence[str]) -> "RenderableType":
    """Return tones down, intents across, one coloured initial for each pace in a cell."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    tones, paces, intents = (
        list(dict.fromkeys(getattr(key, axis) for key, _ in routed)) for axis in ("tone", "pace", "intent")
    )
    title = f"who answers: tone down, intent across, in a cell {', '.join(paces)}"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("")
    for intent in intents:
        table.add_column(intent)
    by_parts = {(key.tone, key.pace, key.intent): decision for key, decision in routed}
    for tone in tones:
        cells = [_cell([by_parts.get((tone, pace, intent)) for pace in paces], names) for intent in intents]
        table.add_row(Text(tone, "bold"), *cells)
    return table


def _cell(decisions: Sequence["Decision | None"], names: Sequence[str]) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    cell = Text()
    for decision in decisions:
        if decision is None:
            cell.append("·")
        else:
            cell.append(decision.primary[0], f"black on {colour_of(decision.primary, names)}")
    return cell


def _winners(routed: Sequence[Routed], names: Sequence[str]) -> "RenderableType":
    from rich.text import Text  # noqa: PLC0415

    wins = Counter(decision.primary for _, decision in routed)
    line = Text(f"\n{len(routed)} keys: ")
    for name in names:
        line.append(f" {name} ", f"black on {colour_of(name, names)}")
        line.append(f" {wins[name]}  ")
    return line
