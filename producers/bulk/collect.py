"""Step 5: outcomes become lines of the output and of the rejects file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import msgspec

from persona_system.errors import InvalidInput
from producers.bulk.answer import Answer
from producers.bulk.chunk import Chunk
from producers.bulk.coverage import NOTHING, Coverage
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
    last_line: int = 0  # everything up to it is written
    cached: int = 0  # of those that are ok


@dataclass(frozen=True, slots=True)
class Progress:
    """What of the input is done, and up to which bytes the two files hold just that."""

    counts: Counts = field(default_factory=Counts)
    done: Coverage = NOTHING
    output_bytes: int = 0
    rejects_bytes: int = 0


class Collector:
    """Writes chunks that are answered and counts them, on top of what was written *before*."""

    def __init__(self, output: BinaryIO, rejects: BinaryIO, before: Progress | None = None) -> None:
        before = Progress() if before is None else before
        self._output, self._rejects = output, rejects
        self._encode_lines = msgspec.json.Encoder().encode_lines
        self._done = before.done
        self._output_bytes, self._rejects_bytes = before.output_bytes, before.rejects_bytes
        self.counts = replace(before.counts, last_line=before.done.upto)

    @property
    def progress(self) -> Progress:
        """How far the files are now; a value that stays what it is."""
        return Progress(replace(self.counts), self._done, self._output_bytes, self._rejects_bytes)

    def write(self, chunk: Chunk, outcomes: Sequence[JobOutcome[Answer]]) -> None:
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
        output_bytes = _write(self._output, self._encode_lines(lines))
        rejects_bytes = _write(self._rejects, self._encode_lines(rejects))
        self._output_bytes += output_bytes
        self._rejects_bytes += rejects_bytes
        self._done = self._done.add(chunk.first_line, chunk.last_line)
        counts = self.counts
        counts.read += chunk.read
        counts.ok += len(lines) - failed
        counts.cached += cached
        counts.failed += failed
        counts.rejected += len(rejects)
        counts.blank += chunk.blank
        counts.last_line = self._done.upto


def _answered(line: int, callers_id: CallersId, outcome: JobOutcome[Answer]) -> Answered:
    answer = outcome.unwrap()
    return Answered(
        line,
        callers_id,
        outcome.job_id,
        outcome.status,
        answer.persona_used,
        answer.key,
        answer.routing.confidence,
        answer.language,
        answer.content,
        answer.metadata,
    )


def _unanswered(line: int, callers_id: CallersId, outcome: JobOutcome[Answer]) -> Unanswered:
    error = outcome.error
    code = getattr(error, "code", "FAILED")
    problem = error.problem if isinstance(error, JobFailed) else str(error)
    trouble = Trouble(code, "", problem, f"run line {line} again; `ion doctor` looks for the cause")
    return Unanswered(line, callers_id, outcome.job_id, outcome.status, trouble)


def _line(rejected: Reject) -> int:
    return rejected.line


def _write(file: BinaryIO, data: bytes) -> int:
    """Write *data* out of this process; return how much that was."""
    if not data:
        return 0
    left = memoryview(data)
    try:
        while left:  # a raw file may take a part only
            left = left[file.write(left) :]
        file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        name = str(getattr(file, "name", "the output"))
        raise UnusableOutput(
            name, f"cannot be written: {error.strerror}", "make room or fix the path"
        ) from error
    return len(data)
