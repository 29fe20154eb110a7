"""``ion process`` and ``ion recommend``: one job through the fleet."""

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producers.cli.analyze import analysis_json, text_or_stdin
from producers.cli.collaborators import collaborators
from producers.cli.report import console, print_json, tell
from producers.cli.route import colour_of, decision_json, score_bar

if TYPE_CHECKING:
    from persona_system.models import Recommendation, Response

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[
    str | None, typer.Option("--key", help="tone-pace-intent; without it the text itself is analysed.")
]
Deadline = Annotated[float, typer.Option("--deadline", min=0.001, help="Seconds to wait for the answer.")]

PROCESS_EXAMPLES = (
    'ion process "배포가 또 실패했어요. 어떻게 해야 하죠?"',
    'ion process "How do I split this module?" --key curious-medium-planning --json',
    "git log -1 --format=%B | ion process - --compact",
)
RECOMMEND_EXAMPLES = (
    'ion recommend "Our team disagrees about the release plan"',
    'ion recommend "지표가 왜 떨어졌는지 모르겠어요" --json',
)


def process(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="The message; - reads standard input.")],
    key: Key = None,
    *,
    compact: Annotated[bool, typer.Option("--compact", help="The short prompt.")] = False,
    user_id: Annotated[str | None, typer.Option(help="Who writes.")] = None,
    session_id: Annotated[str | None, typer.Option(help="The conversation.")] = None,
    persona: Annotated[str | None, typer.Option(help="The mentor that the person prefers.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute it, though it may be known.")] = False,
    deadline: Deadline = 10.0,
    as_json: Json = False,
) -> None:
    """Turn a message into the right mentor's prompt, through the fleet."""
    from persona_system.models import Context  # noqa: PLC0415
    from producers.client import PersonaClient  # noqa: PLC0415
    from producers.requests import PersonaRequest  # noqa: PLC0415

    about = Context(user_id, session_id, persona, mode="compact" if compact else "normal")
    message = checked(text_or_stdin(text), key)
    patience = timedelta(seconds=deadline)
    request = PersonaRequest(message, key, about, deadline=patience, use_cache=not no_cache)
    with collaborators(context).fleet.reach(tell) as settings, PersonaClient(settings) as client:
        outcome = client.submit(request).outcome()
    response = outcome.unwrap()
    if as_json:
        told = {"job_id": outcome.job_id, "status": "ok", "cached": outcome.cached}
        print_json({**told, **response_json(response)})
    else:
        _print_response(response, cached=outcome.cached)


def recommend(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(help="The situation in words; - reads standard input.")],
    key: Key = None,
    *,
    deadline: Deadline = 10.0,
    as_json: Json = False,
) -> None:
    """Tell which mentor suits a situation, through the fleet."""
    from producers.client import PersonaClient  # noqa: PLC0415

    message = checked(text_or_stdin(scenario, "SCENARIO"), key)
    with collaborators(context).fleet.reach(tell) as settings, PersonaClient(settings) as client:
        found = client.recommend(message, key, deadline=timedelta(seconds=deadline))
    if as_json:
        print_json(recommendation_json(found))
    else:
        _print_recommendation(found)


def checked(text: str, key: str | None) -> str:
    """Return *text*; raise InvalidInput here, before a fleet may be started for nothing."""
    from persona_system.text import check_text  # noqa: PLC0415
    from persona_system.vocabulary import parse_key  # noqa: PLC0415

    if key is not None:
        parse_key(key)
    return check_text(text)


def response_json(response: "Response") -> dict[str, Any]:
    """Return a response as ``--json`` prints it."""
    analysis = response.analysis
    found: dict[str, Any] = {
        "persona_used": response.persona_used,
        "resonance_key": str(response.resonance_key),
        "confidence": response.confidence,
        "language": response.language,
        "template": response.template,
        "content": response.content,
        "routing": {
            **decision_json(response.resonance_key, response.routing),
            "reasoning": response.routing.reasoning,
        },
        "analysis": None if analysis is None else analysis_json(analysis),
        "execution_time_ms": response.execution_time_ms,
    }
    return found if response.metadata is None else {**found, "metadata": response.metadata}


def recommendation_json(found: "Recommendation") -> dict[str, Any]:
    """Return a recommendation as ``--json`` prints it."""
    return {
        "recommended_persona": found.recommended_persona,
        "resonance_key": str(found.resonance_key),
        "scores": dict(found.scores),
        "capabilities": asdict(found.capabilities),
        "analysis": None if found.analysis is None else analysis_json(found.analysis),
    }


def _print_response(response: "Response", *, cached: bool) -> None:
    from rich.console import Group  # noqa: PLC0415
    from rich.panel import Panel  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    colour = colour_of(response.persona_used, tuple(response.routing.scores))
    lines = [
        Text.assemble(
            (response.persona_used, f"bold {colour}"),
            f"   confidence {response.confidence:.3f}, then {response.routing.secondary}",
        ),
        Text(
            f"{response.resonance_key}   {response.language}   {response.template}"
            + ("   from the cache" if cached else "")
        ),
        Text(response.routing.reasoning, "dim"),
    ]
    if (analysis := response.analysis) is not None:
        lines.append(
            Text(
                f"heard: tone {analysis.tone_confidence:.2f} (then {analysis.tone_runner_up}), "
                f"pace {analysis.pace_confidence:.2f}, intent {analysis.intent_confidence:.2f}",
                "dim",
            )
        )
    out = console()
    out.print(Panel(Group(*lines), border_style=colour))
    out.print(Text(response.content), soft_wrap=True)


def _print_recommendation(found: "Recommendation") -> None:
    from rich.text import Text  # noqa: PLC0415

    names = tuple(found.scores)
    persona = found.capabilities
    out = console()
    out.print(
        Text.assemble(
            (persona.name, f"bold {colour_of(persona.name, names)}"),
            f" ({persona.korean_name}), {persona.role}   {found.resonance_key}",
        )
    )
    for name, score in sorted(found.scores.items(), key=lambda entry: -entry[1]):
        out.print(score_bar(name, score, names))
    out.print(Text(f"  good at {', '.join(persona.strengths)}"))
    if persona.best_for_tones:
        out.print(Text(f"  best for tones {', '.join(persona.best_for_tones)}"))
