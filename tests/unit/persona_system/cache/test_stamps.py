"""A stamp that was on its way while its tag changed never enters the table."""

from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.stamps import Stamps

TAGS = st.sampled_from([b"t%d" % n for n in range(6)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.lists(TAGS, max_size=4)),
        st.tuples(st.just("mark"), st.just([])),
        st.tuples(st.just("learn"), st.lists(TAGS, max_size=4)),
        st.tuples(st.just("forget"), st.just([])),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 8), st.integers(1, 8))
def test_what_is_known_was_read_after_the_latest_change(
    steps: list[tuple[str, list[bytes]]], max_changes: int, max_tags: int
) -> None:
    """The model keeps every tag's true generation; stamps read at a mark are those of that moment."""
    stamps = Stamps(max_tags, max_changes)
    truth: dict[bytes, int] = {}
    mark, seen = stamps.mark(), dict(truth)
    for step, tags in steps:
        if step == "change":
            stamps.changed(tags)
            for tag in tags:
                truth[tag] = truth.get(tag, 0) + 1
        elif step == "mark":
            mark, seen = stamps.mark(), dict(truth)
        elif step == "forget":
            stamps.forget_all()
        else:
            stamps.learn({tag: b"%d" % seen.get(tag, 0) for tag in tags}, mark)
        known = {tag: stamps.get(tag) for tag in stamps.tags()}
        assert all(stamp == b"%d" % truth.get(tag, 0) for tag, stamp in known.items())
        assert len(known) <= max_tags


def test_what_did_not_change_is_learnt() -> None:
    stamps = Stamps()
    mark = stamps.mark()
    stamps.changed([b"a"])
    stamps.learn({b"a": b"1", b"b": b"2"}, mark)
    assert (stamps.get(b"a"), stamps.get(b"b")) == (None, b"2")
    stamps.learn({b"a": b"3"}, stamps.mark())
    assert stamps.current(((b"a", b"3"), (b"b", b"2")))
    assert not stamps.current(((b"a", b"1"),))
    assert not stamps.current(((b"c", b""),))
    assert stamps.current(())


def test_nothing_that_was_under_way_survives_forgetting() -> None:
    stamps = Stamps()
    mark = stamps.mark()
    stamps.forget_all()
    stamps.learn({b"a": b"1"}, mark)
    assert stamps.tags() == []


def test_a_storm_is_refused_whole_and_later_stamps_are_learnt() -> None:
    """Of 100,000 changes 7,500 to 10,000 are remembered; a mark from before them tells nothing."""
    stamps = Stamps()
    mark = stamps.mark()
    stamps.changed([b"%d" % n for n in range(100_000)])
    stamps.learn({b"0": b"old", b"never changed": b"too old to tell"}, mark)
    assert stamps.tags() == []
    stamps.learn({b"0": b"new"}, stamps.mark())
    assert stamps.get(b"0") == b"new"


def test_a_full_table_starts_afresh() -> None:
    stamps = Stamps(max_tags=3)
    stamps.learn({b"a": b"1", b"b": b"1"}, stamps.mark())
    stamps.learn({b"c": b"1", b"d": b"1"}, stamps.mark())
    assert stamps.tags() == [b"c", b"d"]
