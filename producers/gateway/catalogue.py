"""The endpoints about the mentors themselves."""

from dataclasses import asdict
from typing import Annotated, cast

from fastapi import Path
from starlette.responses import Response as HttpResponse

from persona_system.models import Persona
from persona_system.personas import Personas
from producers.gateway.call import TheCall, json_response, timestamp
from producers.gateway.schemas import PersonaOut, PersonaResponse, PersonasResponse


class Catalogue:
    """Tells of *personas*."""

    def __init__(self, personas: Personas) -> None:
        self._personas = personas
        self._all = [persona_out(persona) for persona in personas]

    async def personas(self, call: TheCall) -> HttpResponse:
        """List the mentors."""
        told: PersonasResponse = {
            "success": True,
            "total": len(self._all),
            "personas": self._all,
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return json_response(told)

    async def persona(
        self, name: Annotated[str, Path(description="in any letter case, or in Korean")], call: TheCall
    ) -> HttpResponse:
        """Show one mentor."""
        told: PersonaResponse = {
            "success": True,
            "persona": persona_out(self._personas.find(name, "name")),
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return json_response(told)


def persona_out(persona: Persona) -> PersonaOut:
    """Return *persona* as callers read it."""
    fields = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(persona).items()}
    return cast("PersonaOut", fields)
