"""Typed references to tasks: what a producer holds in place of the task function."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from persona_system.models import Recommendation, Response
from workers.contract import names

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each; identity makes a fast key
class TaskRef(Generic[ResultT_co]):
    """A task by name, the queue it goes to by default, and the type of one job's result."""

    name: str
    queue: str
    result_type: type[ResultT_co]


PROCESS = TaskRef(names.PERSONA_PROCESS, names.INTERACTIVE, Response)
RECOMMEND = TaskRef(names.PERSONA_RECOMMEND, names.INTERACTIVE, Recommendation)
