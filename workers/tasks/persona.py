"""The two persona tasks: a mentor's prompt for a message, and who would suit a scenario."""

from persona_system.cache.answers import PROCESS, RECOMMEND, process_request, recommend_request
from persona_system.models import Recommendation, Response
from persona_system.pipeline import PersonaPipeline
from workers.contract.payloads import Job
from workers.delivery import FIRST, Delivery
from workers.runtime import Runtime
from workers.tasks.answering import Kind
from workers.tasks.batch import answer_batch


def process(payload: bytes, runtime: Runtime, delivery: Delivery = FIRST) -> str:
    """Answer a packed batch of messages with a ``Response`` each; errors as ``answer_batch``."""
    return answer_batch(payload, delivery, runtime, process_kind(runtime.pipeline))


def recommend(payload: bytes, runtime: Runtime, delivery: Delivery = FIRST) -> str:
    """Answer a packed batch of scenarios with a ``Recommendation`` each; errors as ``answer_batch``."""
    return answer_batch(payload, delivery, runtime, recommend_kind(runtime.pipeline))


def process_kind(pipeline: PersonaPipeline) -> Kind:
    """Return what *pipeline* makes of messages."""

    def answer(job: Job) -> Response:
        return pipeline.process(job.text, job.key, job.context)

    return Kind(PROCESS, process_request, answer, _process_persona)


def recommend_kind(pipeline: PersonaPipeline) -> Kind:
    """Return what *pipeline* makes of scenarios."""

    def answer(job: Job) -> Recommendation:
        return pipeline.recommend(job.text, job.key)

    return Kind(RECOMMEND, recommend_request, answer, _recommended_persona)


def _process_persona(response: Response) -> str:
    return response.persona_used


def _recommended_persona(found: Recommendation) -> str:
    return found.recommended_persona
