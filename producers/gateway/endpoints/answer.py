"""How a worker's answer reads over HTTP."""

from persona_system.models import Response
from persona_system.vocabulary import ResonanceKey
from producers.gateway.call import Call, timestamp
from producers.gateway.schemas import AnswerOut, KeyOut, MetadataOut, ProcessResponse


def answer_body(answer: Response) -> AnswerOut:
    """Return *answer* without what depends on who asked, and when."""
    routing = answer.routing
    return {
        "content": answer.content,
        "persona_used": answer.persona_used,
        "confidence": routing.confidence,
        "resonance_key": _key(answer.resonance_key),
        "routing": {
            "primary_persona": routing.primary,
            "secondary_persona": routing.secondary,
            "confidence": routing.confidence,
            "scores": dict(routing.scores),
            "reasoning": routing.reasoning,
        },
    }


def process_body(answer: Response, call: Call, cache_key: str, *, cached: bool) -> ProcessResponse:
    """Return *answer* as the response to *call*."""
    told = answer_body(answer)
    return {
        "success": True,
        "content": told["content"],
        "persona_used": told["persona_used"],
        "confidence": told["confidence"],
        "resonance_key": told["resonance_key"],
        "routing": told["routing"],
        "performance": {
            "execution_time_ms": call.elapsed_ms(),
            "cache_hit": cached,
            "cache_key": cache_key,
        },
        "timestamp": timestamp(),
        "request_id": call.request_id,
    }


def metadata_body(answer: Response) -> MetadataOut:
    """Return what else there is to know of *answer*, with the caller's own metadata."""
    analysis = answer.analysis
    return {
        "user_provided_metadata": answer.metadata,
        "language": answer.language,
        "template": answer.template,
        "analysis": None
        if analysis is None
        else {
            "tone_confidence": analysis.tone_confidence,
            "tone_runner_up": analysis.tone_runner_up,
            "pace_confidence": analysis.pace_confidence,
            "intent_confidence": analysis.intent_confidence,
        },
    }


def _key(key: ResonanceKey) -> KeyOut:
    return {"tone": key.tone, "pace": key.pace, "intent": key.intent}
