"""Which way a batch takes that workers were lost with; and that the rules together find the poison."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.isolation import LOSSES, Answer, Bury, Decision, Split, decide, part_id
from workers.settling import NO_JOURNAL, Journal, Part

AS_EVER, CAREFULLY = Answer(carefully=False), Answer(carefully=True)


@pytest.mark.parametrize(
    ("jobs", "lost", "before", "journal", "expected"),
    [
        (3, 0, 0, NO_JOURNAL, AS_EVER),
        (3, 1, 0, NO_JOURNAL, CAREFULLY),
        (3, 0, 1, NO_JOURNAL, CAREFULLY),  # a part, delivered for the first time
        (3, 2, 0, NO_JOURNAL, CAREFULLY),  # lost before it was begun: nobody is suspect
        (3, 3, 0, Journal(1, 1), CAREFULLY),  # noted by a worker before the one that was lost last
        (3, 2, 0, Journal(None, 0, hung=True), CAREFULLY),  # hung when it was answered as ever
        (0, 5, 0, Journal(0, 4), CAREFULLY),
        (3, 2, 0, Journal(1, 1), Split((Part("suspect", [1], 2), Part("rest", [0, 2], 1)))),
        (3, 1, 1, Journal(0, 0), Split((Part("suspect", [0], 1), Part("rest", [1, 2], 1)))),
        (3, 9, 0, Journal(2, 8), Split((Part("suspect", [2], 2), Part("rest", [0, 1], 1)))),
        (5, 2, 0, Journal(5, 1), Split((Part("a", [0, 1], 1), Part("b", [2, 3, 4], 1)))),
        (1, 2, 0, Journal(0, 1), CAREFULLY),
        (1, 3, 0, Journal(0, 2), Bury(hung=False)),
        (1, 1, 2, Journal(0, 0), Bury(hung=False)),
        (1, 1, 2, Journal(0, 0, hung=True), Bury(hung=True)),
        (1, 1, 2, Journal(1, 0), Bury(hung=False)),  # past the job: while its reply was made
        (1, 1, 2, NO_JOURNAL, CAREFULLY),  # lost before it was begun
        (1, 1, 1, Journal(0, 0), CAREFULLY),
    ],
)
def test_what_to_do(jobs: int, lost: int, before: int, journal: Journal, expected: Decision) -> None:
    assert decide(jobs, lost, before, journal) == expected


@given(
    st.integers(2, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.integers(1, 9),
    st.integers(0, 2),
)
def test_a_split_puts_every_job_into_exactly_one_part(sizes: tuple[int, int], lost: int, before: int) -> None:
    jobs, at = sizes
    decision = decide(jobs, lost, before, Journal(at, lost - 1))

    assert isinstance(decision, Split)
    assert sorted(place for part in decision.parts for place in part.jobs) == list(range(jobs))
    assert all(part.jobs for part in decision.parts)


@dataclass
class World:
    """A fleet in which *poison* ends its worker, and other workers are lost by chance."""

    poison: frozenset[int]
    accidents: list[bool]  # whether the next delivery of an innocent batch ends before it is begun
    runs: Counter[int] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)
    buried: Counter[int] = field(default_factory=Counter)

    def work_off(self, jobs: list[int]) -> None:
        """Deliver batches until none is left."""
        queue = [(jobs, 0, 0, NO_JOURNAL)]
        while queue:
            batch, lost, before, journal = queue.pop()
            match decide(len(batch), lost, before, journal):
                case Split(parts):
                    queue += [([batch[n] for n in part.jobs], 0, part.lost, NO_JOURNAL) for part in parts]
                case Bury():
                    self.buried[batch[0]] += 1
                case Answer(carefully):
                    if self.accidents and self.accidents.pop():
                        queue.append((batch, lost + 1, before, journal))
                        continue
                    at = self._ends_at(batch)
                    if at is None:
                        self.answered.update(batch)
                    else:
                        queue.append((batch, lost + 1, before, Journal(at, lost) if carefully else journal))

    def _ends_at(self, batch: list[int]) -> int | None:
        for place, job in enumerate(batch):
            self.runs[job] += 1
            if job in self.poison:
                return place
        return None


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_all_poison_is_buried_after_three_runs_at_most_and_nothing_else(given: tuple[int, set[int]]) -> None:
    jobs, poison = given
    world = World(frozenset(poison), [])
    world.work_off(list(range(jobs)))

    assert world.buried == Counter(poison)
    assert world.answered == Counter(set(range(jobs)) - poison)
    assert all(world.runs[job] <= LOSSES for job in poison)


@given(
    st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=3))),
    st.lists(st.booleans(), max_size=12),
)
def test_workers_lost_before_a_batch_is_begun_bury_nobody(
    given: tuple[int, set[int]], accidents: list[bool]
) -> None:
    """As when another thread's job ends the process: the batch is counted as lost, and is innocent."""
    jobs, poison = given
    world = World(frozenset(poison), accidents)
    world.work_off(list(range(jobs)))

    assert world.buried == Counter(poison)
    assert world.answered == Counter(set(range(jobs)) - poison)


def test_a_parts_id_is_its_parents_and_never_too_long() -> None:
    assert part_id("b", "rest") == "b.rest"
    deep = "b"
    for _ in range(100):
        deep = part_id(deep, "rest")
        assert len(deep) <= 120
    assert part_id(deep, "a") == part_id(deep, "a") != part_id(deep, "b")
