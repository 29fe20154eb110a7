"""Step 5: outcomes become lines of the output and of the rejects file, in the order of the input."""

from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from persona_system.errors import InvalidInput
from persona_system.models import Response
from producers.bulk.chunk import Chunk
from producers.bulk.errors import UnusableOutput
from producers.bulk.records import CallersId, Reject, reject
from producers.errors import JobFailed
from producers.requests import JobOutcome


class Answered(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An output line of a job that was answered."""

    line: int
    id: CallersId
    job_id: str
    status: str
    persona_used: str
    resonance_key: str
    confidence: float
    language: str
    content: str
    metadata: dict[str, Any] | None = None


class Trouble(msgspec.Struct, frozen=True):
    """Why a job has no answer."""

    code: str
    field: str
    problem: str
    fix: str


class Unanswered(msgspec.Struct, frozen=True):
    """An output line of a job that failed for no fault of its line."""

    line: int
    id: CallersId
    job_id: str
    status: str
    error: Trouble


@dataclass(slots=True)
class Counts:
    """What was written so far; always read = ok + rejected + failed + blank."""

    read: int = 0
    ok: int = 0
    rejected: int = 0
    failed: int = 0
    blank: int = 0
    last_line: int = 0
    cached: int = 0  # of those that are ok


class Collector:
    """Writes chunks that are answered and counts them, a chunk at a time."""

    def __init__(self, output: BinaryIO, rejects: BinaryIO) -> None:
        self._output, self._rejects = output, rejects
        self._encode_lines = msgspec.json.Encoder().encode_lines
        self.counts = Counts()

    def write(self, chunk: Chunk, outcomes: list[JobOutcome[Response]]) -> None:
        """Write one answered chunk and flush it; raise UnusableOutput when the disk says no."""
        lines: list[Answered | Unanswered] = []
        rejects = chunk.rejects
        failed = cached = 0
        for (line, callers_id), outcome in zip(chunk.origins, outcomes, strict=True):
            if outcome.status == "ok":
                cached += outcome.cached
                lines.append(_answered(line, callers_id, outcome))
            elif isinstance(outcome.error, InvalidInput):
                rejects = [*rejects, reject(line, outcome.error)]
            else:
                failed += 1
                lines.append(_unanswered(line, callers_id, outcome))
        if rejects is not chunk.rejects:
            rejects.sort(key=_line)
        _write(self._output, self._encode_lines(lines))
        _write(self._rejects, self._encode_lines(rejects))
        counts = self.counts
        counts.read += chunk.read
        counts.ok += len(lines) - failed
        counts.cached += cached
        counts.failed += failed
        counts.rejected += len(rejects)
        counts.blank += chunk.blank
        counts.last_line = chunk.last_line


def _answered(line: int, callers_id: CallersId, outcome: JobOutcome[Response]) -> Answered:
    response = outcome.unwrap()
    return Answered(
        line,
        callers_id,
        outcome.job_id,
        outcome.status,
        response.persona_used,
        str(response.resonance_key),
        response.routing.confidence,
        response.language,
        response.content,
        response.metadata,
    )


def _unanswered(line: int, callers_id: CallersId, outcome: JobOutcome[Response]) -> Unanswered:
    error = outcome.error
    code = getattr(error, "code", "FAILED")
    problem = error.problem if isinstance(error, JobFailed) else str(error)
    trouble = Trouble(code, "", problem, f"run line {line} again; `ion doctor` looks for the cause")
    return Unanswered(line, callers_id, outcome.job_id, outcome.status, trouble)


def _line(rejected: Reject) -> int:
    return rejected.line


def _write(file: BinaryIO, data: bytes) -> None:
    if not data:
        return
    try:
        file.write(data)
        file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        name = str(getattr(file, "name", "the output"))
        raise UnusableOutput(
            name, f"cannot be written: {error.strerror}", "make room or fix the path"
        ) from error
