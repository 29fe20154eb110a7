"""``ion dead``: what no worker could answer, and what to do about it.

The commands' options only; what they do stands in the modules beside this one, which need the database.
"""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from persona_system.errors import InvalidInput
from producers.cli.collaborators import collaborators
from producers.cli.dead_filters import since_ms
from producers.cli.report import FAILED, OK, console, print_json, tell
from workers.contract.dead_letters import Reason

if TYPE_CHECKING:
    from workers.store.letters import Filter, State

LIST_EXAMPLES = ("ion dead list", "ion dead list --reason crashed --newer-than 1d", "ion dead list --json")
SHOW_EXAMPLES = ("ion dead show 3f2a9c0d", "ion dead show 3f2a9c0d --payload --json")
RETRY_EXAMPLES = ("ion dead retry 3f2a9c0d", "ion dead retry --all --reason undeliverable --newer-than 1h")
PURGE_EXAMPLES = ("ion dead purge 3f2a9c0d", "ion dead purge --all --older-than 7d --yes")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reasons = Annotated[list[Reason] | None, typer.Option("--reason", help="Why it is dead; may be repeated.")]
Queue = Annotated[str | None, typer.Option(help="The queue that it was on.")]
Persona = Annotated[str | None, typer.Option(help="Who would have answered, where that is known.")]
Task = Annotated[str | None, typer.Option(help="Such as persona.process.")]
Older = Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="Such as 30m, 12h or 7d.")]
Newer = Annotated[str | None, typer.Option("--newer-than", metavar="AGE", help="Likewise.")]
Standing = Annotated[str | None, typer.Option("--state", help="kept, or retried: sent again since.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Of letters; may be cut short.")]
Every = Annotated[bool, typer.Option("--all", help="All of them, or all that the filters leave.")]


def list_letters(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    *,
    reason: Reasons = None,
    queue: Queue = None,
    persona: Persona = None,
    task: Task = None,
    older: Older = None,
    newer: Newer = None,
    state: Standing = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the dead letters, the latest first, and how many there are of each reason.

    A dead letter is a message or a job that no worker could answer.  It is kept until it is purged, or
    for 30 days after it last changed.
    """
    from producers.cli import dead_show  # noqa: PLC0415
    from producers.cli.dead_place import reached  # noqa: PLC0415

    wanted = _wanted(reason, queue, persona, task, older, newer, _state(state))
    with reached(collaborators(context).fleet) as letters:
        found, total, counts = letters.find(wanted, limit), letters.count(wanted), letters.counts()
    if as_json:
        print_json(dead_show.list_json(found, total, counts))
    else:
        dead_show.show_list(found, total, counts, _now_ms())


def show(
    context: typer.Context,
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Of a letter; may be cut short.")],
    *,
    payload: Annotated[
        bool, typer.Option("--payload", help="Show what people wrote, too: it is private.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter: why it is dead, its jobs, and its story, from the first delivery on."""
    from producers.cli import dead_payload, dead_show  # noqa: PLC0415
    from producers.cli.dead_place import reached  # noqa: PLC0415

    with reached(collaborators(context).fleet) as letters:
        letter = letters.get(letter_id)
        content = dead_payload.content_of(letters.payload(letter.id)) if payload else None
    if as_json:
        print_json(
            dead_show.letter_json(letter) | ({} if content is None else {"payload": content.as_json()})
        )
    else:
        dead_show.show_letter(letter, content, _now_ms())


def retry(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    ids: Ids = None,
    *,
    reason: Reasons = None,
    queue: Queue = None,
    persona: Persona = None,
    task: Task = None,
    older: Older = None,
    newer: Newer = None,
    deadline: Annotated[
        float, typer.Option(min=1, help="Seconds that workers have for it from now on.")
    ] = 300.0,
    every: Every = False,
    as_json: Json = False,
) -> None:
    """Send letters again, to the queue that they died on, with a new deadline.

    Nobody waits for their answers any more: each job's outcome can be looked up by its id for an hour.
    One that dies again is the same letter with a longer story.  With --all, those that were sent again
    already are left out.
    """
    from producers.cli import dead_retry, dead_show  # noqa: PLC0415
    from producers.cli.dead_place import reached  # noqa: PLC0415
    from workers.store.letters import State  # noqa: PLC0415

    wanted = _wanted(reason, queue, persona, task, older, newer, State.KEPT)
    _check_choice(ids, wanted, every=every)
    fleet = collaborators(context).fleet
    with reached(fleet) as letters, dead_retry.sender(fleet, deadline) as sender:
        chosen = [letters.get(each) for each in dict.fromkeys(ids)] if ids else None
        results = [
            dead_retry.retry(letters, letter, sender)
            for letter in (dead_retry.every(letters, wanted) if chosen is None else chosen)
        ]
    if as_json:
        print_json([result.as_json() for result in results])
    else:
        dead_show.show_retries(results)
    raise typer.Exit(OK if all(result.sent for result in results) else FAILED)


def purge(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    ids: Ids = None,
    *,
    reason: Reasons = None,
    queue: Queue = None,
    persona: Persona = None,
    task: Task = None,
    older: Older = None,
    newer: Newer = None,
    state: Standing = None,
    every: Every = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete letters for good, with what people wrote."""
    from producers.cli import dead_show  # noqa: PLC0415
    from producers.cli.dead_place import reached  # noqa: PLC0415

    wanted = _wanted(reason, queue, persona, task, older, newer, _state(state))
    _check_choice(ids, wanted, every=every)
    with reached(collaborators(context).fleet) as letters:
        chosen = [letters.get(each).id for each in dict.fromkeys(ids)] if ids else []
        count = len(chosen) if ids else letters.count(wanted)
        if count and not yes and not _confirmed(f"delete {dead_show.number(count)} for good?"):
            tell("nothing was deleted")
            raise typer.Exit(FAILED)
        deleted = letters.purge(wanted, chosen) if count else 0
    if as_json:
        print_json({"deleted": deleted})
    else:
        console().print(f"{dead_show.number(deleted)} deleted", soft_wrap=True)


def _wanted(
    reasons: list[Reason] | None,
    queue: str | None,
    persona: str | None,
    task: str | None,
    older: str | None,
    newer: str | None,
    state: "State | None",
) -> "Filter":
    from workers.store.letters import Filter  # noqa: PLC0415

    now_ms = _now_ms()
    return Filter(
        reasons=tuple(reasons) if reasons is not None else (),
        queue=queue,
        task=task,
        persona=persona,
        before_ms=None if older is None else since_ms("--older-than", older, now_ms),
        after_ms=None if newer is None else since_ms("--newer-than", newer, now_ms),
        state=state,
    )


def _state(state: str | None) -> "State | None":
    from workers.store.letters import State  # noqa: PLC0415

    if state is None:
        return None
    try:
        return State(state)
    except ValueError:
        raise InvalidInput("--state", "is neither kept nor retried", "use one of them") from None


def _check_choice(ids: list[str] | None, wanted: "Filter", *, every: bool) -> None:
    """See that somebody said which letters: none by accident, and not in two ways."""
    from workers.store.letters import Filter  # noqa: PLC0415

    filtered = wanted not in {Filter(), Filter(state=wanted.state)}
    if ids and (every or filtered):
        raise InvalidInput("ID", "and --all or a filter exclude each other", "give one of them")
    if not ids and not every:
        raise InvalidInput("ID", "or --all is missing", "name letters, or take --all with filters")


def _confirmed(question: str) -> bool:
    """Ask on a terminal; anywhere else nobody could answer, and what is deleted is gone."""
    if not sys.stdin.isatty():
        raise InvalidInput("--yes", "is missing, and there is nobody to ask", "add it")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _now_ms() -> int:
    return int(time.time() * 1000)
