"""The endpoints about the mentors themselves, which change with a release only.

A caller may keep an answer for a minute, and ask after that whether it still holds (RFC 9110, 13.1.2).
"""

import hashlib
from typing import Annotated

import msgspec
from fastapi import Path
from starlette.responses import Response as HttpResponse

from persona_system.models import Persona
from persona_system.personas import Personas
from producers.gateway.call import Call, TheCall, json_response, timestamp
from producers.gateway.schemas import PersonaOut, PersonaResponse, PersonasResponse


class Catalogue:
    """Tells of *personas*, as prepared when it is made."""

    def __init__(self, personas: Personas) -> None:
        self._personas = personas
        self._by_name = {persona.name: persona_out(persona) for persona in personas}
        self._all = list(self._by_name.values())
        digest = hashlib.blake2b(msgspec.json.encode(self._all), digest_size=8).hexdigest()
        # weak, since each answer has its own time and id; one for all, since they change together
        self._tag = f'"{digest}"'
        self._headers = (("etag", f"W/{self._tag}"), ("cache-control", "private, max-age=60"))

    async def personas(self, call: TheCall) -> HttpResponse:
        """List the mentors."""
        told: PersonasResponse = {
            "success": True,
            "total": len(self._all),
            "personas": self._all,
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return self._answer(told, call)

    async def persona(
        self,
        name: Annotated[str, Path(description="in any letter case, or in Korean", examples=["Lua"])],
        call: TheCall,
    ) -> HttpResponse:
        """Show one mentor."""
        told: PersonaResponse = {
            "success": True,
            "persona": self._by_name[self._personas.find(name, "name").name],
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return self._answer(told, call)

    def _answer(self, told: PersonasResponse | PersonaResponse, call: Call) -> HttpResponse:
        known = call.header("if-none-match")
        if known is not None and (self._tag in known or known.strip() == "*"):
            return HttpResponse(status_code=304, headers=dict(self._headers))
        return json_response(told, headers=self._headers)


def persona_out(persona: Persona) -> PersonaOut:
    """Return *persona* as callers read it."""
    return {
        "name": persona.name,
        "korean_name": persona.korean_name,
        "role": persona.role,
        "traits": list(persona.traits),
        "strengths": list(persona.strengths),
        "prompt_style": persona.prompt_style,
        "preferred_tones": list(persona.preferred_tones),
        "best_for_tones": list(persona.best_for_tones),
        "best_for_paces": list(persona.best_for_paces),
        "best_for_intents": list(persona.best_for_intents),
    }
