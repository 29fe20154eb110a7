"""When a batch leaves: at once if nothing is under way, else full or after the linger."""

from producers.batching import BatchLimits, Coalescer, Lane
from workers.contract.refs import PROCESS, RECOMMEND

LANE: Lane = (PROCESS, "interactive")
LIMITS = BatchLimits(linger_s=0.002, max_jobs=3, max_bytes=100)


def test_an_idle_client_sends_a_lone_job_at_once() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, "a", b"x", now=10.0)

    assert coalescer.take(10.0, idle=True) == (LANE, [("a", b"x")])
    assert coalescer.take(10.0, idle=True) is None


def test_a_busy_client_gathers_for_the_linger() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, "a", b"x", now=10.0)
    coalescer.add(LANE, "b", b"y", now=10.001)

    assert coalescer.take(10.001, idle=False) is None
    assert coalescer.take(10.0021, idle=False) == (LANE, [("a", b"x"), ("b", b"y")])


def test_the_wait_is_what_is_left_of_the_first_jobs_linger() -> None:
    coalescer = Coalescer(LIMITS)
    assert coalescer.wait_s(10.0) is None

    coalescer.add(LANE, "a", b"x", now=10.0)
    assert 0.0009 < (coalescer.wait_s(10.001) or 0.0) < 0.0011
    assert coalescer.wait_s(11.0) == 0.0


def test_a_full_batch_leaves_without_waiting() -> None:
    coalescer = Coalescer(LIMITS)
    news = [coalescer.add(LANE, name, b"x", now=10.0) for name in "abcd"]

    assert news == [True, False, True, True]  # a batch began, grew, was full; another began
    assert coalescer.take(10.0, idle=False) == (LANE, [("a", b"x"), ("b", b"x"), ("c", b"x")])
    assert coalescer.take(10.0, idle=False) is None


def test_a_batch_does_not_grow_over_its_size() -> None:
    """60 + 60 bytes are over 100, so the second job begins another batch."""
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, "a", b"x" * 60, now=10.0)
    assert coalescer.add(LANE, "b", b"x" * 60, now=10.0)

    assert coalescer.take(10.0, idle=False) == (LANE, [("a", b"x" * 60)])


def test_a_job_over_the_size_travels_alone() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, "big", b"x" * 500, now=10.0)
    coalescer.add(LANE, "small", b"x", now=10.0)

    assert coalescer.take(10.0, idle=False) == (LANE, [("big", b"x" * 500)])


def test_kinds_of_work_do_not_share_a_batch() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add(LANE, "a", b"x", now=10.0)
    coalescer.add((RECOMMEND, "interactive"), "b", b"x", now=10.0)

    taken = [coalescer.take(10.0, idle=True), coalescer.take(10.0, idle=True)]
    assert [jobs for _, jobs in filter(None, taken)] == [[("a", b"x")], [("b", b"x")]]


def test_jobs_that_travel_together_are_one_message() -> None:
    coalescer = Coalescer(LIMITS)
    jobs = [(str(n), b"x" * 99) for n in range(10)]
    coalescer.add_batch(LANE, jobs)

    assert coalescer.take(10.0, idle=False) == (LANE, jobs)


def test_a_message_of_too_many_jobs_or_bytes_is_cut() -> None:
    """5,000 jobs; or 8 MiB, which three jobs of 3 MiB are over."""
    coalescer = Coalescer(LIMITS)
    many = [(str(n), b"x") for n in range(12_001)]
    large = [(str(n), bytes(3 * 1024 * 1024)) for n in range(5)]
    coalescer.add_batch(LANE, many)
    coalescer.add_batch(LANE, large)

    taken = [jobs for _, jobs in iter(lambda: coalescer.take(10.0, idle=False), None)]
    assert [len(jobs) for jobs in taken] == [5000, 5000, 2001, 2, 2, 1]
    assert [job for jobs in taken for job in jobs] == many + large


def test_taking_everything_leaves_nothing() -> None:
    coalescer = Coalescer(LIMITS)
    coalescer.add_batch(LANE, [("a", b"x"), ("b", b"x")])
    coalescer.add(LANE, "c", b"x", now=10.0)

    assert [job_id for job_id, _ in coalescer.take_all()] == ["a", "b", "c"]
    assert coalescer.take(11.0, idle=True) is None
