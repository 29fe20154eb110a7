"""The bulk run as a whole, on a fleet that answers at once: order, counts, and how a run ends."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.errors import InvalidInput
from producers.bulk.answer import Answer
from producers.bulk.chunk import chunks
from producers.bulk.collect import Collector, Counts
from producers.bulk.errors import BrokenInput, UnusableOutput
from producers.bulk.jsonl import read_jsonl
from producers.bulk.records import Accepted, Blank, Item, Reject
from producers.bulk.run import NullLedger, NullWatcher, Options, Summary, Surroundings, Watcher, run
from producers.bulk.submit import Outcomes
from producers.errors import JobFailed, Unavailable
from producers.requests import JobOutcome, PersonaRequest, check_request


def answer(text: str, metadata: dict[str, Any] | None = None) -> Answer:
    """What a worker's answer is for a bulk run."""
    key = {"tone": "calm", "pace": "medium", "intent": "learning"}
    fields = {"content": text, "persona_used": "Elro", "resonance_key": key, "language": "ko"}
    return msgspec.convert({**fields, "routing": {"confidence": 0.7}, "metadata": metadata}, Answer)


def answered(text: str, job_id: str) -> JobOutcome[Answer]:
    return JobOutcome(job_id, "ok", answer(text), None)


class FakeFleet:
    """Checks requests as the client does, and answers a batch when it is told to or asked for it."""

    def __init__(self) -> None:
        self.batches: list[list[PersonaRequest]] = []
        self.most_in_flight = 0
        self.open = self.looks = 0
        self.fail_text = "fail"
        self.away_after: int | None = None

    def submit(self, requests: Sequence[PersonaRequest]) -> "Future[Outcomes]":
        if self.away_after is not None and len(self.batches) >= self.away_after:
            raise Unavailable("the broker", "gone")
        self.batches.append(list(requests))
        self.looks = 0
        future: Future[Outcomes] = _Lazy(self)
        future.set_result([self._answer(request, f"j{n}") for n, request in enumerate(requests)])
        self.open += 1
        self.most_in_flight = max(self.most_in_flight, self.open)
        return future

    def _answer(self, request: PersonaRequest, job_id: str) -> JobOutcome[Answer]:
        try:
            check_request(request)
        except InvalidInput as error:
            return JobOutcome("", "rejected", None, error)
        if request.user_input == self.fail_text:
            return JobOutcome(job_id, "failed", None, JobFailed(job_id, "CRASHED", "the worker broke"))
        return answered(request.user_input, job_id)


class _Lazy(Future[Outcomes]):
    """Looks unfinished until nothing more is submitted for a few looks, so that the window fills."""

    def __init__(self, fleet: FakeFleet) -> None:
        super().__init__()
        self._fleet = fleet

    def done(self) -> bool:
        self._fleet.looks += 1
        return self._fleet.looks > 3

    def result(self, timeout: float | None = None) -> Outcomes:
        self._fleet.open -= 1
        return super().result(timeout)


class Stop:
    """Asks for a stop after so many looks."""

    def __init__(self, after: int | None = None) -> None:
        self.looks, self.after, self.breakable, self.urgent = 0, after, False, False

    @property
    def requested(self) -> bool:
        self.looks += 1
        return self.after is not None and self.looks > self.after

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        return self.requested


def around(stop: Stop | None = None, watcher: Watcher | None = None) -> Surroundings:
    return Surroundings(stop or Stop(), watcher or NullWatcher(), NullLedger())


def go(
    items: Iterator[Item], fleet: FakeFleet, stop: Stop | None = None, **options: Any
) -> tuple[Summary, list[dict[str, Any]], list[dict[str, Any]]]:
    output, rejects = io.BytesIO(), io.BytesIO()
    stop = Stop() if stop is None else stop
    given = Options(patience=timedelta(0), **options)
    summary = run(items, fleet.submit, Collector(output, rejects), given, around(stop))
    lines = [[json.loads(line) for line in file.getvalue().splitlines()] for file in (output, rejects)]
    return summary, lines[0], lines[1]


def jsonl(*records: dict[str, Any] | bytes) -> Iterator[Item]:
    raws = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    return read_jsonl(enumerate(raws, 1))


def texts(count: int) -> Iterator[Item]:
    return jsonl(*({"text": f"t{number}", "id": number} for number in range(1, count + 1)))


def test_answers_rejects_and_failures_each_have_their_place() -> None:
    summary, output, rejects = go(
        jsonl({"text": "hello", "id": "a"}, b"{", {"text": "fail"}, b"\n", {"text": " "}, {"text": "bye"}),
        FakeFleet(),
    )

    assert output[0] == {
        "line": 1,
        "id": "a",
        "job_id": "j0",
        "status": "ok",
        "persona_used": "Elro",
        "resonance_key": "calm-medium-learning",
        "confidence": 0.7,
        "language": "ko",
        "content": "hello",
    }
    assert output[1]["error"]["code"] == "CRASHED"
    assert (output[1]["status"], output[1]["error"]["problem"]) == ("failed", "the worker broke")
    assert [line["line"] for line in output] == [1, 3, 6]
    assert [(line["line"], line["field"]) for line in rejects] == [(2, "line"), (5, "user_input")]
    assert (summary.read, summary.ok, summary.rejected, summary.failed, summary.blank) == (6, 2, 2, 1, 1)
    assert (summary.end, summary.last_line) == ("complete", 6)


def test_the_callers_metadata_comes_back() -> None:
    collector = Collector(output := io.BytesIO(), io.BytesIO())
    (chunk,) = chunks(jsonl({"text": "a"}))
    collector.write(chunk, [JobOutcome("j", "ok", answer("a", {"mine": 1}), None)])
    assert json.loads(output.getvalue())["metadata"] == {"mine": 1}


def test_output_keeps_the_order_of_the_input_and_the_window_is_bounded() -> None:
    fleet = FakeFleet()
    summary, output, _ = go(texts(100), fleet, batch_jobs=7, window=3)

    assert [line["id"] for line in output] == list(range(1, 101))
    assert fleet.most_in_flight == 3
    assert [len(batch) for batch in fleet.batches] == [7] * 14 + [2]
    assert summary.ok == 100


def test_chunks_close_at_bytes_too_and_always_hold_a_record() -> None:
    items = [
        Accepted(n, n, size, None, PersonaRequest("a")) for n, size in enumerate([40, 40, 40, 500, 10], 1)
    ]
    assert [len(chunk.requests) for chunk in chunks(items, jobs=100, size_bytes=100)] == [2, 1, 1, 1]


def test_a_chunk_of_bad_lines_moves_on_without_the_fleet() -> None:
    fleet = FakeFleet()
    items: list[Item] = [Reject(1, "line", "p", "f"), Blank(2), Reject(3, "line", "p", "f")]
    summary, _, rejects = go(iter(items), fleet, batch_jobs=2)

    assert not fleet.batches
    assert (summary.rejected, summary.blank, len(rejects)) == (2, 1, 2)


RECORDS = st.fixed_dictionaries({"user_input": st.text(), "resonance_key": st.text()})
TEXTS = st.fixed_dictionaries({"text": st.sampled_from(["fail", "hello", " ", "\x00", "안녕"])})
LINES = st.one_of(
    st.binary(max_size=30),
    st.one_of(RECORDS, TEXTS).map(lambda record: json.dumps(record).encode()),
    st.sampled_from([b"", b"  ", b"{}"]),
)


@given(st.lists(LINES, max_size=40), st.integers(1, 6), st.integers(1, 4))
def test_any_lines_reconcile(raws: list[bytes], batch_jobs: int, window: int) -> None:
    """read = ok + rejected + failed + blank; each line that is not blank is in one file, in order."""
    summary, output, rejects = go(jsonl(*raws), FakeFleet(), batch_jobs=batch_jobs, window=window)

    assert summary.read == len(raws) == summary.ok + summary.rejected + summary.failed + summary.blank
    assert summary.last_line == len(raws)
    assert Counter(line["status"] for line in output) == Counter({"ok": summary.ok, "failed": summary.failed})
    assert len(rejects) == summary.rejected
    numbers = [[line["line"] for line in lines] for lines in (output, rejects)]
    assert all(found == sorted(set(found)) for found in numbers)
    assert not set(numbers[0]) & set(numbers[1])
    assert len(numbers[0]) + len(numbers[1]) + summary.blank == len(raws)


def test_an_absent_fleet_ends_the_run_at_a_line_that_can_be_gone_on_from() -> None:
    fleet = FakeFleet()
    fleet.away_after = 3
    summary, output, _ = go(texts(50), fleet, batch_jobs=10, window=2)

    assert (summary.end, summary.reason) == ("unavailable", "the broker is not available: gone")
    assert summary.last_line == summary.read == len(output)
    assert [line["id"] for line in output] == list(range(1, summary.last_line + 1))


def test_a_stop_finishes_what_is_in_flight() -> None:
    fleet = FakeFleet()
    summary, output, _ = go(texts(50), fleet, Stop(after=3), batch_jobs=10, window=8)

    assert summary.end == "interrupted"
    assert len(fleet.batches) == 3
    assert summary.last_line == len(output) == 30


def test_a_read_that_is_broken_off_loses_only_what_was_not_sent() -> None:
    stop = Stop()

    def items() -> Iterator[Item]:
        yield from texts(25)
        assert stop.breakable
        stop.after = 0
        raise KeyboardInterrupt

    summary, output, _ = go(items(), FakeFleet(), stop, batch_jobs=10)

    assert (summary.end, summary.last_line, len(output)) == ("interrupted", 20, 20)
    assert not stop.breakable


def test_an_interrupt_that_nobody_asked_for_passes_through() -> None:
    def items() -> Iterator[Item]:
        yield from texts(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(items(), FakeFleet(), batch_jobs=10)


def test_an_input_that_breaks_ends_the_run_with_what_was_sent() -> None:
    def items() -> Iterator[Item]:
        yield from texts(25)
        raise BrokenInput("in.gz", "is a damaged gzip file", "fetch it again")

    summary, output, _ = go(items(), FakeFleet(), batch_jobs=10)

    assert summary.end == "broken_input"
    assert "damaged" in summary.reason
    assert summary.last_line == len(output) == 20


class FullDisk(io.BytesIO):
    name = "out.jsonl"

    def write(self, _data: Any, /) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_ends_the_run_and_names_the_file() -> None:
    (chunk,) = chunks(texts(1))
    with pytest.raises(UnusableOutput, match=r"out\.jsonl cannot be written: No space left"):
        Collector(FullDisk(), io.BytesIO()).write(chunk, [answered("a", "j")])

    summary = run(texts(3), FakeFleet().submit, Collector(FullDisk(), io.BytesIO()), Options(), around())
    assert (summary.end, summary.read) == ("broken_output", 0)


def test_progress_is_told_after_every_batch() -> None:
    told: list[int] = []

    class Telling(NullWatcher):
        def progress(self, counts: Counts) -> None:
            told.append(counts.read)

    collector = Collector(io.BytesIO(), io.BytesIO())
    summary = run(texts(25), FakeFleet().submit, collector, Options(batch_jobs=10), around(watcher=Telling()))
    assert told == [10, 20, 25]
    assert summary.jobs_per_s > 0
