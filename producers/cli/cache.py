"""``ion cache``: what the answer cache of the fleet does, and how to change it.

The commands' options only; what they do stands in the modules beside this one, which need redis.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from persona_system.errors import InvalidInput
from persona_system.models import Context
from producers.cli.analyze import text_or_stdin
from producers.cli.collaborators import collaborators
from producers.cli.process import Key, checked
from producers.cli.report import FAILED, OK, UNAVAILABLE, CatalogueDir, console, print_json, tell

if TYPE_CHECKING:
    from producers.cli.cache_explain import Question

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

STATS_EXAMPLES = ("ion cache stats", "ion cache stats --watch", "ion cache stats --json")
TOP_EXAMPLES = ("ion cache top", "ion cache top -n 50 --json")
EXPLAIN_EXAMPLES = (
    'ion cache explain "배포가 또 실패했어요. 어떻게 해야 하죠?"',
    'ion cache explain "How do I split this module?" --key curious-medium-planning --user-id u1',
    "ion cache explain --id 3f2a9c0d5b7e4a118c6d2e9f01b3a5c7 --json",
)
INVALIDATE_EXAMPLES = (
    "ion cache invalidate persona:Lua",
    "ion cache invalidate user:u1 session:s1",
    "ion cache invalidate 'persona:*' endpoint:recommend --json",
)
CLEAR_EXAMPLES = ("ion cache clear", "ion cache clear --yes --json")
WARM_EXAMPLES = ("ion cache warm", "ion cache warm --wait 0")


def stats(
    context: typer.Context,
    *,
    watching: Annotated[
        bool, typer.Option("--watch", help="Show it anew every second, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show how the jobs of the fleet ended, with hit rates, and how the store is.

    The counts are those of all processes.  Each hands its own on once a second, and at its end.
    """
    from producers.cli import cache_stats  # noqa: PLC0415
    from producers.cli.cache_place import reached  # noqa: PLC0415
    from producers.cli.interruption import Interruption, on_signals  # noqa: PLC0415

    if watching and as_json:
        raise InvalidInput(
            "--watch", "and --json exclude each other", "repeat ion cache stats --json instead"
        )
    with reached(collaborators(context).fleet) as place:
        if watching:
            stop = Interruption()
            with on_signals(stop):
                cache_stats.watch(lambda: cache_stats.read_stats(place, cache_stats.BRIEFLY_S), stop.wait)
            return
        found = cache_stats.read_stats(place)
    if as_json:
        print_json(found.as_json())
    else:
        out = console()
        out.print(cache_stats.stats_view(found, out.width))


def top(
    context: typer.Context,
    most: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many.")] = 20,
    *,
    as_json: Json = False,
) -> None:
    """Show the requests that are asked most, by their ids, and whether the store has their answers."""
    from producers.cli import cache_top  # noqa: PLC0415
    from producers.cli.cache_place import reached  # noqa: PLC0415

    with reached(collaborators(context).fleet) as place:
        found, counted = cache_top.favourites(place.look, most)
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        cache_top.show(found, counted)


def explain(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="The message; - reads standard input.")] = None,
    key: Key = None,
    *,
    request: Annotated[str | None, typer.Option("--id", help="Of a request, from ion cache top.")] = None,
    recommend: Annotated[bool, typer.Option("--recommend", help="As ion recommend asks it.")] = False,
    compact: Annotated[bool, typer.Option("--compact", help="The short prompt.")] = False,
    user_id: Annotated[str | None, typer.Option(help="Who writes.")] = None,
    session_id: Annotated[str | None, typer.Option(help="The conversation.")] = None,
    persona: Annotated[str | None, typer.Option(help="The mentor that the person prefers.")] = None,
    catalogue: CatalogueDir = None,
    as_json: Json = False,
) -> None:
    """Tell whether a request would be answered from the cache, and why or why not: key, tags, age.

    What is asked with history or a summary has other keys, which only its client can make.
    """
    about = Context(user_id, session_id, persona, mode="compact" if compact else "normal")
    question = _question(text, key, request, about, catalogue, recommend=recommend)
    from producers.cli import cache_explain, cache_explain_show  # noqa: PLC0415
    from producers.cli.cache_place import reached  # noqa: PLC0415

    with reached(collaborators(context).fleet) as place:
        found = cache_explain.explained(place.look, question)
    now = datetime.now(UTC)
    if as_json:
        print_json(cache_explain_show.as_json(found, now))
    else:
        cache_explain_show.show(found, now)


def invalidate(
    context: typer.Context,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="KIND:NAME; * in a name is any.")],
    *,
    as_is: Annotated[bool, typer.Option("--as-is", help="Tags of your own functions, unchecked.")] = False,
    catalogue: CatalogueDir = None,
    as_json: Json = False,
) -> None:
    """Void every answer that carries one of the tags, in the store and in every process.

    Kinds are persona, endpoint (process or recommend; bulk runs share the answers of process), user,
    session and function.
    """
    from persona_system.catalogue import load_catalogue  # noqa: PLC0415
    from producers.cache import change  # noqa: PLC0415
    from producers.cli.cache_place import reached  # noqa: PLC0415

    wording = change.Wording(
        field="TAG",
        clear="ion cache clear",
        other_kind=", or --as-is for a tag of your own functions",
        other_persona=", or --catalogue for your own",
    )
    wanted = tuple(tags) if as_is else change.expanded(tags, load_catalogue(catalogue).personas, wording)
    with reached(collaborators(context).fleet) as place:
        told = change.invalidate(place, wanted)
    if as_json:
        print_json(told.as_json())
    else:
        console().print(str(told), soft_wrap=True)


def clear(
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Void every answer, in the store and in every process; the fleet then computes them anew."""
    from producers.cache import change  # noqa: PLC0415
    from producers.cli.cache_place import reached  # noqa: PLC0415

    with reached(collaborators(context).fleet) as place:
        answers, all_counted = place.look.count_answers()
        count = f"{'' if all_counted else 'at least '}{answers:,} {'answer' if answers == 1 else 'answers'}"
        if not yes and not _confirmed(f"void all answers ({count})?"):
            tell("nothing was cleared")
            raise typer.Exit(FAILED)
        told = change.clear(place)
    if as_json:
        print_json({"answers": answers, "all_counted": all_counted, "listening": told.listening})
    else:
        console().print(f"cleared, {count}; {change.told(told.listening)}", soft_wrap=True)


def warm(
    context: typer.Context,
    *,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for what comes of it.")
    ] = 10.0,
    as_json: Json = False,
) -> None:
    """Ask a worker to fetch the most popular answers, and to compute those that are missing or due.

    Workers do so by themselves when they start, and once a minute.
    """
    from producers.cli import cache_warm  # noqa: PLC0415
    from producers.cli.cache_place import reached  # noqa: PLC0415

    fleet = collaborators(context).fleet
    with reached(fleet) as place, console(stderr=True).status("waiting for a worker"):
        warmed = cache_warm.warm(place, wait, time.monotonic, time.sleep)
    if as_json:
        print_json(warmed.as_json())
    else:
        console().print(str(warmed), soft_wrap=True)
    raise typer.Exit(OK if warmed.taken or wait == 0 else UNAVAILABLE)


def _confirmed(question: str) -> bool:
    """Ask on a terminal; anywhere else nobody could answer.  Typer's own prompt writes to stdout, too."""
    if not sys.stdin.isatty():
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _question(
    text: str | None,
    key: str | None,
    request: str | None,
    about: Context,
    catalogue: Path | None,
    *,
    recommend: bool,
) -> "Question":
    from producers.cli.cache_explain import question_of, question_of_id  # noqa: PLC0415

    if (text is None) == (request is None):
        raise InvalidInput(
            "TEXT",
            "or --id is missing" if text is None else "and --id exclude each other",
            "give one of them",
        )
    if text is not None:
        return question_of(checked(text_or_stdin(text), key), key, about, catalogue, recommend=recommend)
    assert request is not None  # noqa: S101 - one of the two is given
    if key is not None or recommend or about != Context():
        raise InvalidInput("--id", "is all there is to say about a request", "leave the other options out")
    return question_of_id(request, catalogue)
