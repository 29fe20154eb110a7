"""Every waiter is woken exactly once, alone or in a batch, first or joined later."""

from hypothesis import given
from hypothesis import strategies as st

from producers.errors import IdempotencyConflict
from producers.pending import Gathered, PendingJobs
from workers.contract.payloads import Outcome, Status

IDS = st.sampled_from("abc")
REQUESTS = st.sampled_from([b"one", b"other"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), IDS, REQUESTS),
        st.tuples(st.just("batch"), st.lists(st.tuples(IDS, REQUESTS), min_size=1, max_size=4)),
        st.tuples(st.just("settle"), st.lists(IDS, max_size=3)),
    ),
    max_size=30,
)


class Table:
    """The table of pending jobs, and a plain record of who must be woken by what."""

    def __init__(self) -> None:
        self.pending = PendingJobs()
        self.request: dict[str, bytes] = {}  # under way, by job id
        self.waiting: dict[str, list[object]] = {}  # by job id
        self.woken: list[object] = []
        self.expected: list[object] = []

    def take(self, job_id: str, request: bytes, waiter: object, place: int) -> bool:
        """Submit a job as the dispatcher does; return whether it was taken."""
        try:
            if job_id in self.pending:
                self.pending.join(job_id, waiter, place, request)
            else:
                self.pending.add(job_id, waiter, place, 0.0, None, request)
        except IdempotencyConflict:
            assert self.request[job_id] != request
            return False
        assert self.request.setdefault(job_id, request) == request
        return True

    def settle(self, ids: list[str]) -> None:
        woken, _ = self.pending.settle([(job_id, Outcome(job_id, Status.OK)) for job_id in ids])
        for waiter, _ in woken:
            self.woken.append(waiter)
        for job_id in ids:
            self.request.pop(job_id, None)
            self.expected += self.waiting.pop(job_id, [])


@given(STEPS)
def test_each_waiter_is_woken_once_when_its_job_ends(steps: list[tuple[object, ...]]) -> None:
    table = Table()
    batches: dict[str, Gathered] = {}
    for number, step in enumerate(steps):
        match step:
            case ("submit", str(job_id), bytes(request)):
                if table.take(job_id, request, number, -1):
                    table.waiting.setdefault(job_id, []).append(number)
            case ("batch", list(jobs)):
                gathered = Gathered(f"batch {number}", [None] * len(jobs), len(jobs))
                for place, (job_id, request) in enumerate(jobs):
                    if not table.take(job_id, request, gathered, place):
                        gathered.outcomes[place] = Outcome(job_id, Status.REJECTED)
                        gathered.missing -= 1
                if gathered.missing:
                    batches[gathered.waiter] = gathered
            case ("settle", list(ids)):
                table.settle(ids)
    table.settle(list(table.request))

    singles = [waiter for waiter in table.woken if isinstance(waiter, int)]
    together = [waiter for waiter in table.woken if isinstance(waiter, str)]
    assert sorted(singles) == sorted(one for one in table.expected if isinstance(one, int))
    assert sorted(together) == sorted(batches)
    assert all(None not in gathered.outcomes for gathered in batches.values())
    assert len(table.pending) == 0


def test_whoever_joins_counts_as_waiting() -> None:
    pending = PendingJobs()
    pending.add("a", "first", -1, 0.0, None, b"one")
    pending.join("a", "second", -1, b"one")
    assert len(pending) == 2

    pending.settle([("a", Outcome("a", Status.OK)), ("a", Outcome("a", Status.OK))])
    assert len(pending) == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("submit"), IDS),
            st.tuples(st.just("tell"), IDS),
            st.tuples(st.just("sent"), IDS),
            st.tuples(st.just("settle"), IDS),
        ),
        max_size=30,
    )
)
def test_whoever_waits_for_the_broker_is_told_once(steps: list[tuple[str, str]]) -> None:
    """It is woken when the broker has the job or the job has ended, whichever comes first."""
    pending = PendingJobs()
    sent: set[str] = set()
    waiting: dict[str, set[int]] = {}
    for number, (step, job_id) in enumerate([*steps, *(("settle", job_id) for job_id in "abc")]):
        if step == "submit" and job_id not in pending:
            pending.add(job_id, "the caller", -1, 0.0, None, b"one")
        elif step == "tell" and job_id in pending:
            known = pending.tell_sent(job_id, number)
            assert known == (job_id in sent)
            if not known:
                waiting.setdefault(job_id, set()).add(number)
        elif step == "sent":
            woken = pending.sent([job_id])
            assert {waiter for waiter, _ in woken} == waiting.pop(job_id, set())
            assert all(told is None for _, told in woken)
            if job_id in pending:
                sent.add(job_id)
        elif step == "settle":
            outcome = Outcome(job_id, Status.OK)
            woken = [one for one in pending.settle([(job_id, outcome)])[0] if one[0] != "the caller"]
            assert {waiter for waiter, _ in woken} == waiting.pop(job_id, set())
            assert all(told == outcome for _, told in woken)
            sent.discard(job_id)
    assert not waiting
