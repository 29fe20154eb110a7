"""The two persona tasks: a mentor's prompt for a message, and who would suit a scenario."""

from persona_system.cache.answers import PROCESS, RECOMMEND, process_request, recommend_request
from persona_system.models import Recommendation, Response
from workers.contract.payloads import Job
from workers.runtime import Runtime
from workers.tasks.batch import Kind, answer_batch


def process(payload: bytes, runtime: Runtime) -> None:
    """Answer a packed batch of messages with a ``Response`` each; errors as ``answer_batch``."""
    pipeline = runtime.pipeline

    def answer(job: Job) -> Response:
        return pipeline.process(job.text, job.key, job.context)

    answer_batch(payload, runtime, Kind(PROCESS, process_request, answer, _process_persona))


def recommend(payload: bytes, runtime: Runtime) -> None:
    """Answer a packed batch of scenarios with a ``Recommendation`` each; errors as ``answer_batch``."""
    pipeline = runtime.pipeline

    def answer(job: Job) -> Recommendation:
        return pipeline.recommend(job.text, job.key)

    answer_batch(payload, runtime, Kind(RECOMMEND, recommend_request, answer, _recommended_persona))


def _process_persona(response: Response) -> str:
    return response.persona_used


def _recommended_persona(found: Recommendation) -> str:
    return found.recommended_persona
