"""``ion gateway``: the fleet over HTTP, until Ctrl-C."""

from typing import TYPE_CHECKING, Annotated

import typer

from producers.cli.collaborators import Fleet, collaborators
from producers.cli.report import tell

if TYPE_CHECKING:
    from producers.gateway.settings import GatewaySettings

GATEWAY_EXAMPLES = (
    "ion gateway",
    "ION_GATEWAY_ANONYMOUS=true ion gateway --port 8080",
    "ion gateway --host 0.0.0.0 --processes 4",
)


def gateway(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port to listen on; 8000 by default.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that share the port; 1 by default.")
    ] = None,
) -> None:
    """Serve the HTTP API in the foreground until Ctrl-C; ION_GATEWAY_... variables hold more settings.

    It serves the stack that runs here, or the fleet that ION_BROKER_URL names.  Without one it answers 503
    until there is one.
    """
    from producers.gateway.server.serve import serve  # noqa: PLC0415
    from producers.settings import ClientSettings  # noqa: PLC0415

    settings = _settings(host=host, port=port, processes=processes)
    _tell_of_fleet(collaborators(context).fleet)
    serve(settings, ClientSettings())  # not the fleet's that is there now: another may come to its place


def _settings(**given: object) -> "GatewaySettings":
    """Return the settings of the environment and the options; raise Unavailable for an unsafe gateway."""
    from pydantic import ValidationError  # noqa: PLC0415

    from producers.errors import Unavailable  # noqa: PLC0415
    from producers.gateway.settings import GatewaySettings  # noqa: PLC0415

    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return GatewaySettings.model_validate(chosen)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        if first["loc"]:
            raise
        raise Unavailable("the gateway", first["msg"].removeprefix("Value error, ")) from None


def _tell_of_fleet(fleet: Fleet) -> None:
    if fleet.find() is None:
        tell(
            "no fleet runs here yet, so requests get 503 until one does; start it with `ion up --no-gateway`"
        )
