"""When a batch leaves: at once if nothing is under way, else full or after the linger."""

from producers.batching import BatchLimits, Coalescer, Lane, Leaving, PackedJob
from workers.contract.refs import PROCESS, RECOMMEND

LANE: Lane = (PROCESS, "interactive")
BULK: Lane = (PROCESS, "bulk")
LIMITS = BatchLimits(linger_s=0.002, max_jobs=3, max_bytes=100)
BUSY = {"interactive", "bulk"}


def job(name: str, packed: bytes = b"x") -> PackedJob:
    return (name, packed, None)


def names_of(leaving: Leaving | None) -> list[str] | None:
    return None if leaving is None else [job[0] for job in leaving.jobs]


def test_an_idle_client_sends_a_lone_job_at_once() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, job("a", b"x"), now=10.0)

    assert coalescer.take(10.0) == Leaving(LANE, [job("a")])
    assert coalescer.take(10.0) is None


def test_a_busy_client_gathers_for_the_linger() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, job("a", b"x"), now=10.0)
    coalescer.add(LANE, job("b", b"y"), now=10.001)

    assert coalescer.take(10.001, BUSY) is None
    assert coalescer.take(10.0021, BUSY) == Leaving(LANE, [job("a"), job("b", b"y")])


def test_the_wait_is_what_is_left_of_the_first_jobs_linger() -> None:
    coalescer = Coalescer(LIMITS)
    assert coalescer.wait_s(10.0) is None

    coalescer.add(LANE, job("a", b"x"), now=10.0)
    assert 0.0009 < (coalescer.wait_s(10.001) or 0.0) < 0.0011
    assert coalescer.wait_s(11.0) == 0.0


def test_a_full_batch_leaves_without_waiting() -> None:
    coalescer = Coalescer(LIMITS)
    news = [coalescer.add(LANE, job(name, b"x"), now=10.0) for name in "abcd"]

    assert news == [True, False, True, True]  # a batch began, grew, was full; another began
    assert coalescer.take(10.0, BUSY) == Leaving(LANE, [job(name) for name in "abc"])
    assert coalescer.take(10.0, BUSY) is None


def test_a_batch_does_not_grow_over_its_size() -> None:
    """60 + 60 bytes are over 100, so the second job begins another batch."""
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, job("a", b"x" * 60), now=10.0)
    assert coalescer.add(LANE, job("b", b"x" * 60), now=10.0)

    assert coalescer.take(10.0, BUSY) == Leaving(LANE, [job("a", b"x" * 60)])


def test_a_job_over_the_size_travels_alone() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, job("big", b"x" * 500), now=10.0)
    coalescer.add(LANE, job("small", b"x"), now=10.0)

    assert coalescer.take(10.0, BUSY) == Leaving(LANE, [job("big", b"x" * 500)])


def test_kinds_of_work_do_not_share_a_batch() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, job("a", b"x"), now=10.0)
    coalescer.add((RECOMMEND, "interactive"), job("b", b"x"), now=10.0)

    assert [names_of(coalescer.take(10.0)) for _ in range(2)] == [["a"], ["b"]]


def test_jobs_that_travel_together_are_one_message() -> None:
    coalescer = Coalescer(LIMITS)
    jobs = [job(str(n), b"x" * 99) for n in range(10)]
    coalescer.add_batch(LANE, jobs, "run k3f9")

    assert coalescer.take(10.0, BUSY) == Leaving(LANE, jobs, "run k3f9")


def test_a_message_of_too_many_jobs_or_bytes_is_cut() -> None:
    """5,000 jobs; or 8 MiB, which three jobs of 3 MiB are over."""
    coalescer = Coalescer(LIMITS)
    many = [job(str(n)) for n in range(12_001)]
    large = [job(str(n), bytes(3 * 1024 * 1024)) for n in range(5)]
    coalescer.add_batch(LANE, many)
    coalescer.add_batch(LANE, large)

    taken = [leaving.jobs for leaving in iter(lambda: coalescer.take(10.0, BUSY), None)]
    assert [len(jobs) for jobs in taken] == [5000, 5000, 2001, 2, 2, 1]
    assert [one for jobs in taken for one in jobs] == many + large


def test_taking_everything_leaves_nothing() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add_batch(LANE, [job("a"), job("b")])
    coalescer.add(LANE, job("c", b"x"), now=10.0)

    assert [one[0] for one in coalescer.take_all()] == ["a", "b", "c"]
    assert coalescer.take(11.0) is None


def test_a_persons_batch_overtakes_a_pipelines() -> None:
    """However many bulk batches are ready: what is interactive leaves first, full, due or alone."""
    coalescer = Coalescer(LIMITS)
    for number in range(5):
        coalescer.add_batch(BULK, [job(f"bulk {number}")])
    coalescer.add(LANE, job("alone"), now=10.0)
    assert names_of(coalescer.take(10.0, {"bulk"})) == ["alone"]

    for name in "abcd":
        coalescer.add(LANE, job(name), now=10.0)
    left = [names_of(coalescer.take(10.01, BUSY)) for _ in range(7)]
    assert left == [["a", "b", "c"], ["d"], *([f"bulk {number}"] for number in range(5))]


def test_bulk_work_under_way_does_not_make_a_person_wait_for_the_linger() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(BULK, job("bulk"), now=10.0)
    coalescer.add(LANE, job("mine"), now=10.0)

    assert names_of(coalescer.take(10.0, {"bulk"})) == ["mine"]
    assert coalescer.take(10.0, {"bulk"}) is None
