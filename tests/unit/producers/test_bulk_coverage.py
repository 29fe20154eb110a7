"""Which lines are done, and how many batches may be in flight: values and rules."""

from hypothesis import given
from hypothesis import strategies as st

from producers.bulk.coverage import Coverage, coverage_of
from producers.bulk.credit import Credit

SPANS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda s: (s[0], s[0] + s[1])))


def test_spans_join_what_they_touch() -> None:
    done = Coverage().add(1, 10).add(21, 30).add(41, 50)
    assert done == Coverage(10, ((21, 30), (41, 50)))
    assert done.add(11, 20) == Coverage(30, ((41, 50),))
    assert done.add(31, 40) == Coverage(10, ((21, 50),))
    assert done.add(11, 40) == Coverage(50)


@given(SPANS)
def test_coverage_is_the_set_of_the_lines_that_were_added(spans: list[tuple[int, int]]) -> None:
    done = Coverage()
    lines: set[int] = set()
    for first, last in spans:
        done = done.add(first, last)
        lines.update(range(first, last + 1))

    assert [line for line in range(1, 80) if done.covers(line)] == sorted(lines)
    assert all(line in lines for line in range(1, done.upto + 1))
    assert done.upto + 1 not in lines
    edges = [done.upto, *(edge for span in done.beyond for edge in span)]
    assert edges == sorted(edges)
    assert coverage_of(done.upto, [list(span) for span in done.beyond]) == done


def test_credit_halves_at_a_refusal_and_grows_by_one_for_a_round_of_answers() -> None:
    """8 -> 4 -> 2; two answers at 2 make 2 + 1/2 + 1/2.5 = 2.9, a third 3.24."""
    credit = Credit(8, 8).refused().refused()
    assert credit.batches == 2
    credit = credit.answered().answered()
    assert credit.batches == 2
    assert credit.answered().batches == 3


@given(st.lists(st.booleans()), st.integers(1, 64))
def test_credit_stays_between_one_and_its_most(answers: list[bool], most: int) -> None:
    credit = Credit(most, most)
    for answered in answers:
        credit = credit.answered() if answered else credit.refused()
        assert 1 <= credit.batches <= most


def test_credit_always_comes_back() -> None:
    credit = Credit(1, 8)
    for _ in range(40):
        credit = credit.answered()
    assert credit == Credit(8, 8)
