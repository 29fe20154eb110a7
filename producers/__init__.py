"""Everything that submits jobs and waits for their outcomes.

Importing this costs little: Celery, Redis and the settings are loaded when a client is made or first used.
"""

from producers.aio import AsyncJobHandle, AsyncPersonaClient
from producers.client import JobHandle, PersonaClient
from producers.errors import (
    AccessDenied,
    ClientClosed,
    DeadlineExceeded,
    IdempotencyConflict,
    JobDead,
    JobFailed,
    NotWritable,
    Overloaded,
    ProducerError,
    Unavailable,
)
from producers.requests import JobOutcome, PersonaRequest

__all__ = [
    "AccessDenied",
    "AsyncJobHandle",
    "AsyncPersonaClient",
    "ClientClosed",
    "DeadlineExceeded",
    "IdempotencyConflict",
    "JobDead",
    "JobFailed",
    "JobHandle",
    "JobOutcome",
    "NotWritable",
    "Overloaded",
    "PersonaClient",
    "PersonaRequest",
    "ProducerError",
    "Unavailable",
]
