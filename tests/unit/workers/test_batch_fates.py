"""What becomes of a batch that is delivered again, cost workers, or needs a server that is away."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from persona_system.cache.answers import PROCESS, process_request
from persona_system.errors import Unavailable as ServerAway
from persona_system.pipeline import load_pipeline
from tests.support.loopback import KeptDeadLetters
from tests.support.settling import MemoryQueues, MemorySettlements
from workers.contract.dead_letters import Reason, Sighting
from workers.contract.payloads import Batch, Job, Outcome, Reply, Status
from workers.contract.wire import decompress
from workers.delivery import FIRST, Delivery
from workers.errors import Unavailable
from workers.runtime import Runtime
from workers.settling import DONE, Journal, Mark
from workers.tasks import persona
from workers.tasks.answering import Kind
from workers.tasks.batch import answer_batch

pack = msgspec.msgpack.encode
PIPELINE = load_pipeline()
KEY = "calm-medium-learning"
NOW_MS = 1_000_000.0
WORDS = "my very private words"


class Lost(BaseException):
    """Stands for the end of the process, which no code sees coming."""


@dataclass
class Fleet:
    """One worker at a time, whose jobs do what *doing* says by their id."""

    doing: dict[str, Callable[[], object]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settlements, self.queues, self.letters = MemorySettlements(), MemoryQueues(), KeptDeadLetters()
        self.runtime = Runtime(
            PIPELINE, self.settlements, self.letters, lambda: NOW_MS, queues=self.queues, chance=lambda: 0.5
        )

    def answer(self, job: Job) -> object:
        self.runs.append(job.id)
        self.doing.get(job.id, str)()
        return f"answer to {job.id}"

    def deliver(self, payload: bytes, delivery: Delivery = FIRST) -> None:
        """Deliver once; a lost worker is silent."""
        kind = Kind(PROCESS, process_request, self.answer, persona_of=lambda _: "Lua")
        answer_batch(payload, delivery, self.runtime, kind)

    def work_off(self, payload: bytes) -> None:
        """Deliver until nothing is left, and again whenever the worker is lost."""
        waiting = [payload]
        while waiting:
            one, lost = waiting.pop(0), 0
            while True:
                seen = tuple(Sighting(n, "lost with its worker", "w") for n in range(lost))
                try:
                    self.deliver(one, Delivery("persona.process", "bulk", "w1", lost, seen))
                    break
                except Lost:
                    lost += 1
            waiting += [put.payload for put in self.queues.put_there]
            self.queues.put_there.clear()

    def replies(self) -> list[Reply]:
        return [
            msgspec.msgpack.decode(decompress(packed), type=Reply) for _, packed in self.settlements.replies
        ]

    def ends(self) -> dict[str, Status]:
        """Return how each job ended; none may end twice."""
        ends = [(outcome.id, outcome.status) for reply in self.replies() for outcome in reply.outcomes]
        assert len(dict(ends)) == len(ends)
        return dict(ends)

    def outcome(self, job_id: str) -> Outcome:
        (found,) = [o for reply in self.replies() for o in reply.outcomes if o.id == job_id]
        return found


def lose() -> None:
    raise Lost


def be_away() -> None:
    raise ServerAway("the model", f"cannot do {WORDS}")


def batch(*jobs: str | Job, **changes: object) -> bytes:
    full = [job if isinstance(job, Job) else Job(id=job, text=WORDS, key=KEY) for job in jobs]
    fields = {"id": "b", "reply_to": "me", "sent_ms": 999_990, "jobs": [msgspec.Raw(pack(j)) for j in full]}
    return pack(msgspec.convert({**fields, **changes}, Batch))


# -- once ----------------------------------------------------------------------------------------------


def test_a_batch_that_is_delivered_often_is_settled_once() -> None:
    fleet = Fleet()
    for _ in range(50):
        fleet.deliver(batch("1", "2"))

    assert fleet.ends() == {"1": Status.OK, "2": Status.OK}
    assert fleet.settlements.duplicates == 49


def test_a_batch_given_back_after_its_reply_is_not_answered_again() -> None:
    """As when a worker is lost between the reply and the acknowledgement."""
    fleet = Fleet()
    fleet.deliver(batch("1"))
    fleet.deliver(batch("1"), Delivery(lost=1))

    assert fleet.runs == ["1"]
    assert len(fleet.replies()) == 1


def test_a_durable_job_ends_once_whatever_batch_it_comes_in() -> None:
    fleet = Fleet()
    job = Job(id="mine", text=WORDS, key=KEY, durable=True)
    fleet.deliver(batch(job, id="b1"))
    fleet.doing["mine"] = lambda: 1 / 0  # it would end otherwise now
    fleet.deliver(batch(job, "other", id="b2"))

    first, second = fleet.replies()
    assert first.outcomes[0].status is Status.OK
    assert second.outcomes[0] == first.outcomes[0]
    assert fleet.settlements.outcomes["mine"] == first.outcomes[0]


def test_outcomes_of_jobs_that_are_not_durable_are_not_kept() -> None:
    fleet = Fleet()
    fleet.deliver(batch("1"))
    assert not fleet.settlements.outcomes


def test_a_reply_store_that_is_away_means_that_nothing_has_happened() -> None:
    fleet = Fleet()
    fleet.settlements.broken = True
    with pytest.raises(Unavailable, match="the reply store"):
        fleet.deliver(batch("1"))
    fleet.settlements.broken = False
    fleet.deliver(batch("1"))

    assert fleet.ends() == {"1": Status.OK}


# -- isolation -----------------------------------------------------------------------------------------


def test_one_poison_is_buried_after_three_runs_and_its_neighbours_are_answered() -> None:
    fleet = Fleet({"7": lose})
    fleet.work_off(batch(*[str(n) for n in range(40)]))

    assert fleet.ends() == {str(n): Status.DEAD if n == 7 else Status.OK for n in range(40)}
    assert fleet.runs.count("7") == 3


def test_three_poisons_in_one_batch_are_all_buried_and_nobody_else() -> None:
    poison = {"3", "19", "39"}
    fleet = Fleet(dict.fromkeys(poison, lose))
    fleet.work_off(batch(*[str(n) for n in range(40)]))

    assert {job for job, end in fleet.ends().items() if end is Status.DEAD} == poison
    assert len(fleet.ends()) == 40
    assert all(fleet.runs.count(job) <= 3 for job in poison)


def test_a_dead_letter_tells_the_story_and_can_be_sent_again_as_it_is() -> None:
    fleet = Fleet({"1": lose})
    fleet.work_off(batch("0", "1", "2"))
    (letter,) = fleet.letters.kept

    assert (letter.reason, letter.code, letter.deliveries) == (Reason.CRASHED, "CRASHED", 3)
    assert (letter.queue, letter.task, letter.persona) == ("bulk", "persona.process", "Elro")
    assert letter.job_ids == ["1"]
    assert letter.size_bytes == len(letter.payload)
    assert [seen.what for seen in letter.story] == [
        "lost with its worker",
        "lost with its worker",
        "went on in a part: suspect",
        "lost with its worker",
        "given up: 3 workers crashed at this job",
    ]
    assert WORDS not in repr(letter.story) + letter.problem + letter.fix

    fleet.doing.clear()
    fleet.settlements.replies.clear()
    fleet.deliver(letter.payload)
    assert fleet.ends() == {"1": Status.OK}


def test_whoever_waits_for_a_buried_job_is_told_why() -> None:
    fleet = Fleet({"1": lose})
    fleet.work_off(batch("1"))
    outcome = fleet.outcome("1")

    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.message) == ("CRASHED", "3 workers crashed at this job")
    assert fleet.letters.kept[0].id in outcome.problem.fix
    assert outcome.tries == 3


def test_a_job_that_hung_says_so() -> None:
    fleet = Fleet()

    def hang() -> None:
        fleet.settlements.hangs("b")
        raise Lost

    fleet.doing["1"] = hang
    fleet.work_off(batch("1"))
    assert fleet.letters.kept[0].reason is Reason.HUNG


def test_the_same_job_makes_the_same_letter_when_it_dies_again() -> None:
    fleet = Fleet({"1": lose})
    fleet.work_off(batch("1", id="b1"))
    fleet.work_off(batch("1", id="b2"))

    first, second = fleet.letters.kept
    assert first.id == second.id


def test_a_buried_durable_job_has_its_outcome_kept() -> None:
    fleet = Fleet({"1": lose})
    fleet.work_off(batch(Job(id="1", text=WORDS, key=KEY, durable=True)))

    assert fleet.settlements.outcomes["1"].status is Status.DEAD


def test_a_careful_delivery_notes_each_job_before_it_is_begun() -> None:
    fleet = Fleet({"2": lose})
    with pytest.raises(Lost):
        fleet.deliver(batch("1", "2", "3"), Delivery(lost=1))

    assert fleet.settlements.journals["b"] == Journal(1, 1)


def test_an_ordinary_delivery_notes_nothing() -> None:
    fleet = Fleet({"2": lose})
    with pytest.raises(Lost):
        fleet.deliver(batch("1", "2", "3"))

    assert not fleet.settlements.journals


def test_a_worker_lost_between_splitting_and_sending_the_parts_loses_no_job() -> None:
    """The mark tells the parts; the next delivery sends the same ones, by the same ids."""
    fleet = Fleet({"2": lose})
    payload = batch("1", "2", "3")
    for lost in (0, 1):
        with pytest.raises(Lost):
            fleet.deliver(payload, Delivery(lost=lost))
    fleet.queues.broken = True
    with pytest.raises(Unavailable, match="the broker"):
        fleet.deliver(payload, Delivery(lost=2))
    assert fleet.settlements.marks["me", "b"].how == "split"
    fleet.queues.broken = False
    fleet.deliver(payload, Delivery(lost=3))
    fleet.deliver(payload, Delivery(lost=4))

    assert [put.batch_id for put in fleet.queues.put_there] == ["b.suspect", "b.rest"] * 2
    first, second = fleet.queues.put_there[:2], fleet.queues.put_there[2:]
    assert [put.batch().jobs for put in first] == [put.batch().jobs for put in second]


def test_a_worker_that_was_given_up_cannot_answer_a_batch_that_was_split() -> None:
    """It was only slow; by now the jobs are on their way in parts."""
    fleet = Fleet({"2": lose})
    payload = batch("1", "2", "3")
    for lost in (0, 1):
        with pytest.raises(Lost):
            fleet.deliver(payload, Delivery(lost=lost))
    fleet.deliver(payload, Delivery(lost=2))
    fleet.doing.clear()
    fleet.deliver(payload)  # the slow worker comes to an end

    assert fleet.ends() == {}
    assert fleet.settlements.duplicates == 1


def test_what_operators_see_of_a_part_is_how_many_jobs_and_where() -> None:
    fleet = Fleet({"2": lose})
    payload = batch("1", "2", "3")
    for lost in (0, 1):
        with pytest.raises(Lost):
            fleet.deliver(payload, Delivery("persona.process", "bulk", lost=lost))
    fleet.deliver(payload, Delivery("persona.process", "bulk", lost=2))

    assert [put.shown for put in fleet.queues.put_there] == ["1 job, bulk", "2 jobs, bulk"]
    assert {put.delivery for put in fleet.queues.put_there} == {Delivery("persona.process", "bulk")}


def test_two_threads_do_not_answer_suspect_batches_at_once() -> None:
    fleet = Fleet()
    held: list[bool] = []
    fleet.doing["1"] = lambda: held.append(fleet.runtime.careful.locked())
    fleet.deliver(batch("1"), Delivery(lost=1))

    assert held == [True]
    assert not fleet.runtime.careful.locked()


def test_a_job_that_asks_its_process_to_end_fails_alone() -> None:
    def leave() -> None:
        raise SystemExit(4)

    fleet = Fleet({"2": leave})
    fleet.deliver(batch("1", "2", "3"))
    assert fleet.ends() == {"1": Status.OK, "2": Status.FAILED, "3": Status.OK}


def test_a_wish_to_end_that_is_not_the_jobs_is_heard() -> None:
    """Celery ends its worker by an exception of a kind of its own."""

    class Shutdown(SystemExit):
        pass

    def told() -> None:
        raise Shutdown

    with pytest.raises(Shutdown):
        Fleet({"1": told}).deliver(batch("1"))


# -- trying again --------------------------------------------------------------------------------------


def test_a_job_whose_server_is_away_is_tried_again_and_its_neighbours_are_answered_now() -> None:
    fleet = Fleet({"2": be_away})
    fleet.deliver(batch("1", "2", "3"), Delivery("persona.process", "interactive"))

    assert fleet.ends() == {"1": Status.OK, "3": Status.OK}
    (put,) = fleet.queues.put_there
    assert (put.batch_id, put.wait_s) == ("b.again", 0.25)  # half of the first half second
    (packed,) = put.batch().jobs
    assert msgspec.msgpack.decode(packed, type=Job).tries == 1
    assert msgspec.UNSET is put.batch().lost

    fleet.doing.clear()
    fleet.deliver(put.payload)
    assert fleet.outcome("2").status is Status.OK
    assert fleet.outcome("2").tries == 2


def test_after_five_tries_the_failure_tells_how_often_it_was_tried() -> None:
    fleet = Fleet({"2": be_away})
    fleet.work_off(batch("1", "2"))
    outcome = fleet.outcome("2")

    assert fleet.runs.count("2") == outcome.tries == 5
    assert (outcome.status, outcome.problem and outcome.problem.code) == (Status.FAILED, "UNAVAILABLE")
    assert outcome.problem is not None
    assert outcome.problem.message == "the model is not available: tried 5 times"
    assert fleet.ends() == {"1": Status.OK, "2": Status.FAILED}


def test_a_job_whose_deadline_is_near_is_not_tried_again() -> None:
    fleet = Fleet({"2": be_away})
    fleet.deliver(batch("1", Job(id="2", text=WORDS, key=KEY, deadline_ms=int(NOW_MS) + 100)))

    assert fleet.ends() == {"1": Status.OK, "2": Status.FAILED}
    assert not fleet.queues.put_there


def test_jobs_tried_again_are_not_lost_with_the_worker_that_settled_the_rest() -> None:
    fleet = Fleet({"2": be_away})
    fleet.queues.broken = True
    with pytest.raises(Unavailable):
        fleet.deliver(batch("1", "2"))
    fleet.queues.broken = False
    fleet.deliver(batch("1", "2"), Delivery(lost=1))

    assert [put.batch_id for put in fleet.queues.put_there] == ["b.again"]
    assert fleet.runs == ["1", "2"]


def test_what_a_newer_client_put_into_a_job_survives_another_try() -> None:
    fleet = Fleet({"2": be_away})
    job = {"id": "2", "text": WORDS, "key": KEY, "from_the_future": [1, 2]}
    fields = {"v": 1, "id": "b", "reply_to": "me", "sent_ms": 999_990, "jobs": [job]}
    fleet.deliver(pack(fields))

    (packed,) = fleet.queues.put_there[0].batch().jobs
    assert msgspec.msgpack.decode(packed) == {**job, "tries": 1}


def test_a_durable_job_that_is_tried_again_has_no_outcome_yet() -> None:
    fleet = Fleet({"1": be_away})
    fleet.deliver(batch(Job(id="1", text=WORDS, key=KEY, durable=True)))
    assert not fleet.settlements.outcomes


def test_the_real_tasks_take_the_same_way() -> None:
    fleet = Fleet()
    persona.process(batch("1"), fleet.runtime)
    persona.recommend(batch("2", id="b2"), fleet.runtime)

    assert fleet.ends() == {"1": Status.OK, "2": Status.OK}
    assert fleet.settlements.marks == {("me", "b"): DONE, ("me", "b2"): Mark()}
