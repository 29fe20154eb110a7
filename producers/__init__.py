"""Everything that submits jobs and waits for their outcomes.

Importing this costs little: Celery, Redis and the settings are loaded when a client is made or first used.
"""

from producers.aio import AsyncJobHandle, AsyncPersonaClient
from producers.client import JobHandle, PersonaClient
from producers.errors import (
    ClientClosed,
    DeadlineExceeded,
    JobDead,
    JobFailed,
    Overloaded,
    ProducerError,
    Unavailable,
)
from producers.requests import JobOutcome, PersonaRequest

__all__ = [
    "AsyncJobHandle",
    "AsyncPersonaClient",
    "ClientClosed",
    "DeadlineExceeded",
    "JobDead",
    "JobFailed",
    "JobHandle",
    "JobOutcome",
    "Overloaded",
    "PersonaClient",
    "PersonaRequest",
    "ProducerError",
    "Unavailable",
]
