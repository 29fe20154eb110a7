"""The two persona tasks: a mentor's prompt for a message, and who would suit a scenario."""

from workers.contract.payloads import Job
from workers.runtime import Runtime
from workers.tasks.batch import answer_batch


def process(payload: bytes, runtime: Runtime) -> None:
    """Answer a packed batch of messages with a ``Response`` each; errors as ``answer_batch``."""
    pipeline = runtime.pipeline

    def answer(job: Job) -> object:
        if job.context is None:
            return pipeline.process(job.text, job.key, metadata=job.metadata)
        return pipeline.process(job.text, job.key, job.context, job.metadata)

    answer_batch(payload, runtime, answer)


def recommend(payload: bytes, runtime: Runtime) -> None:
    """Answer a packed batch of scenarios with a ``Recommendation`` each; errors as ``answer_batch``."""
    pipeline = runtime.pipeline
    answer_batch(payload, runtime, lambda job: pipeline.recommend(job.text, job.key))
