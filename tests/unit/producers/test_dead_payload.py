"""What a dead letter holds, and how it goes on its way again."""

import msgspec
import pytest

from producers.cli.dead_payload import NotRetryable, content_of, packed_again, printable
from workers.contract.dead_letters import Reason, letter_id
from workers.contract.payloads import Batch, Job
from workers.contract.wire import compress, decompress

NOW_MS, DEADLINE_MS = 1_000_000, 1_300_000
pack = msgspec.msgpack.encode


def batch(*jobs: Job | bytes, **given: object) -> bytes:
    packed = [msgspec.Raw(job if isinstance(job, bytes) else pack(job)) for job in jobs]
    return compress(pack(Batch(id="old", reply_to="somebody", sent_ms=5, jobs=packed, **given)))  # type: ignore[arg-type]


def again(payload: bytes, reason: Reason = Reason.CRASHED) -> tuple[Batch, list[Job], tuple[str, ...], int]:
    sent = packed_again("abc", reason, payload, "new", NOW_MS, DEADLINE_MS)
    opened = msgspec.msgpack.decode(decompress(sent.payload), type=Batch)
    jobs = [msgspec.msgpack.decode(job, type=Job) for job in opened.jobs]
    assert (sent.batch_id, sent.jobs) == (opened.id, len(jobs))
    assert letter_id(sent.payload) in sent.ids
    return opened, jobs, sent.ids, sent.jobs


def test_it_is_a_new_batch_of_the_same_jobs_with_a_new_deadline() -> None:
    old = Job(id="j1", text="words", key="calm-low-support", deadline_ms=7, tries=5, metadata={"a": 1})
    opened, [job], _, _ = again(batch(old, bulk=True, lost=2))

    assert job == msgspec.structs.replace(old, deadline_ms=DEADLINE_MS, durable=True, tries=0)
    assert (opened.id, opened.sent_ms, opened.bulk) == ("new", NOW_MS, True)
    assert opened.reply_to != "somebody", "nobody waits any more, and a late answer must not surprise"
    assert opened.lost is msgspec.UNSET


def test_a_job_alone_would_die_under_its_own_id_as_well() -> None:
    _, _, ids, _ = again(batch(Job(id="j1", text="words")))
    assert letter_id(b"j1") in ids
    _, _, ids, _ = again(batch(Job(id="j1", text="words"), Job(id="j2", text="words")))
    assert len(ids) == 1


def test_a_long_batch_is_compressed_again() -> None:
    jobs = [Job(id=f"j{number}", text="the same words, again and again") for number in range(1_000)]
    sent = packed_again("abc", Reason.CRASHED, batch(*jobs), "new", NOW_MS, DEADLINE_MS)
    assert len(sent.payload) < len(decompress(sent.payload)) / 2


def test_a_job_that_does_not_decode_goes_as_it_is() -> None:
    odd = pack({"id": 5, "nonsense": True})
    sent = packed_again("abc", Reason.CRASHED, batch(odd), "new", NOW_MS, DEADLINE_MS)
    opened = msgspec.msgpack.decode(decompress(sent.payload), type=Batch)
    assert bytes(opened.jobs[0]) == odd


@pytest.mark.parametrize(
    ("payload", "reason", "problem"),
    [
        (batch(Job(id="j", text="t")), Reason.MALFORMED, "no message of ours"),
        (b"rubbish", Reason.CRASHED, "no batch of schema version 1"),
        (batch(Job(id="j", text="t"), v=9), Reason.UNKNOWN_VERSION, "no batch of schema version 1"),
        (compress(b"x" * 10_000)[:-9], Reason.UNDELIVERABLE, "no batch of schema version 1"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(payload: bytes, reason: Reason, problem: str) -> None:
    with pytest.raises(NotRetryable) as caught:
        packed_again("abc", reason, payload, "new", NOW_MS, DEADLINE_MS)
    assert problem in caught.value.problem
    assert caught.value.fix
    assert (type(caught.value)(*caught.value.args).letter, caught.value.code) == ("abc", "NOT_RETRYABLE")


def test_the_words_are_shown_by_job_or_as_the_bytes_that_they_are() -> None:
    shown = content_of(batch(Job(id="j1", text="말씀"), Job(id="j2", text="\x1b[2Jgone")))
    assert list(shown.lines()) == ["j1: 말씀", "j2: \ufffd[2Jgone"]
    assert [job["text"] for job in shown.as_json()["jobs"]] == ["말씀", "\x1b[2Jgone"]

    assert list(content_of(b"GET /\r\n\x1b]0;title\x07").lines()) == ["GET /\ufffd", "\ufffd]0;title\ufffd"]
    assert content_of(b"\xff\x00").as_json() == {"base64": "/wA="}
    assert content_of(batch(b"\x05")).jobs is None


def test_a_terminal_is_told_nothing_but_text() -> None:
    assert printable("a\x1b[31mb\u202ec\n") == "a\ufffd[31mb\ufffdc\ufffd"
