"""Dead letters in the database, on every kind of database there is."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.support.databases import postgresql_database
from tests.support.dead_letters import letter
from workers.contract.dead_letters import DeadLetter, Reason, Sighting
from workers.store.dead_letters import DeadLetterStore, Place
from workers.store.engine import Store, open_store
from workers.store.errors import NoSuchLetter, SeveralLetters
from workers.store.letters import Filter, KeptLetter, State, death_of, matches

ANY = Filter()
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each kind of database in turn, empty."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ion.db'}" if sqlite else request.getfixturevalue("postgresql")
    with open_store(url) as made:
        DeadLetterStore(made).purge(ANY)
        yield made


@pytest.fixture
def letters(store: Store) -> DeadLetterStore:
    return DeadLetterStore(store)


def ids(found: list[KeptLetter]) -> list[int]:
    return [int(one.id, 16) for one in found]


# -- keeping ----------------------------------------------------------------------------------------


def test_a_letter_comes_back_as_it_was_kept(letters: DeadLetterStore) -> None:
    story = [Sighting(900, "lost with its worker", "worker1@ion")]
    given = letter(persona="Lua", field="text", fix="shorten it", deliveries=3, story=story)

    assert letters.keep(given) is True

    kept = letters.get(given.id)
    assert kept.story == [*story, Sighting(1_000, "dead: crashed")]
    assert (kept.state, kept.deaths, kept.retries, kept.deliveries) == (State.KEPT, 1, 0, 3)
    assert (kept.first_ms, kept.last_ms, kept.changed_ms) == (1_000, 1_000, 1_000)
    assert letters.payload(given.id) == given.payload
    same = ("id", "reason", "code", "field", "problem", "fix", "queue", "task", "persona", "job_ids")
    assert {name: getattr(kept, name) for name in same} == {name: getattr(given, name) for name in same}


def test_keeping_it_twice_is_keeping_it_once(letters: DeadLetterStore) -> None:
    letters.keep(letter())
    before = letters.get(letter().id)
    assert letters.keep(letter()) is False
    assert letters.get(letter().id) == before


def test_another_death_is_counted_and_told_but_the_payload_stays(letters: DeadLetterStore) -> None:
    letters.keep(letter())
    assert letters.keep(letter(at_ms=5_000, reason=Reason.HUNG, code="HUNG", payload=b"others", size_bytes=6))

    kept = letters.get(letter().id)
    assert (kept.deaths, kept.reason, kept.code) == (2, Reason.HUNG, "HUNG")
    assert (kept.first_ms, kept.last_ms) == (1_000, 5_000)
    assert [seen.what for seen in kept.story] == ["dead: crashed", "dead: hung"]
    assert (letters.payload(kept.id), kept.size_bytes) == (b"words 1", 7)


def test_an_earlier_death_that_is_told_later_does_not_hide_the_latest(letters: DeadLetterStore) -> None:
    letters.keep(letter(at_ms=5_000, reason=Reason.HUNG))
    letters.keep(letter(at_ms=1_000))
    kept = letters.get(letter().id)
    assert (kept.reason, kept.first_ms, kept.last_ms, kept.deaths) == (Reason.HUNG, 1_000, 5_000, 2)


def test_many_workers_may_keep_the_same_letter_at_once(store: Store) -> None:
    """Each of eight threads tells of its own death and of one that all tell of."""
    start = threading.Barrier(8)
    letters = DeadLetterStore(store)

    def keep(number: int) -> None:
        start.wait()
        letters.keep(letter(at_ms=1_000))
        letters.keep(letter(at_ms=2_000 + number))

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert letters.get(letter().id).deaths == 9


HOSTILE = "\0 \udc80 'quoted' \"\\ \u202e ; DROP TABLE dead_letters --"


def test_whatever_a_hostile_message_says_can_be_kept(letters: DeadLetterStore) -> None:
    """A letter that a database refuses would come again for ever."""
    given = letter(
        id="x" * 100_000,
        at_ms=2**63,
        code=HOSTILE * 100,
        problem=HOSTILE * 1_000,
        task=HOSTILE * 1_000,
        queue=HOSTILE,
        persona=HOSTILE,
        job_ids=[HOSTILE * 100] * 3,
        deliveries=2**62,
        size_bytes=-1,
        payload=bytes(range(256)),
        story=[Sighting(-(2**62), HOSTILE, HOSTILE)],
    )
    letters.keep(given)
    letters.keep(given)

    [kept] = letters.find(ANY, 10)
    assert kept.deaths == 1
    assert len(kept.task) <= 200
    assert letters.payload(kept.id) == bytes(range(256))


def test_a_very_long_story_loses_its_middle(letters: DeadLetterStore) -> None:
    for at_ms in range(1, 131):
        letters.keep(letter(at_ms=at_ms))
    kept = letters.get(letter().id)
    assert [seen.at_ms for seen in kept.story] == [*range(1, 11), *range(41, 131)]
    assert kept.deaths == 130


def test_a_reason_of_a_later_version_can_be_read(store: Store, letters: DeadLetterStore) -> None:
    letters.keep(letter())
    with store.writing() as connection:
        connection.execute(sa.text("UPDATE dead_letters SET reason = 'abducted'"))
    assert letters.get(letter().id).reason is Reason.INTERNAL
    assert letters.counts().by_reason == {"abducted": 1}


# -- sending again ----------------------------------------------------------------------------------


def test_one_that_was_sent_again_and_dies_again_is_the_same_letter(letters: DeadLetterStore) -> None:
    """It travels under another id, since its payload differs: that id leads back to it, later ones too."""
    letters.keep(letter(1))
    for at_ms, becomes in ((2_000, letter(2).id), (2_500, letter(3).id)):
        with letters.retrying(letter(1).id, at_ms, "ion dead retry", [becomes]):
            assert True
        assert letters.get(letter(1).id).state is State.RETRIED

    assert letters.keep(letter(2, at_ms=3_000)) is True
    assert letters.keep(letter(2, at_ms=3_000)) is False
    letters.keep(letter(3, at_ms=4_000))

    [kept] = letters.find(ANY, 10)
    assert kept.id == letter(1).id
    assert (kept.state, kept.deaths, kept.retries) == (State.KEPT, 3, 2)
    assert [seen.what for seen in kept.story] == [
        *("dead: crashed", "sent again", "sent again"),
        *("dead: crashed", "dead: crashed"),
    ]
    assert letters.payload(kept.id) == b"words 1"


def test_a_letter_of_its_own_is_not_taken_for_another_that_was_sent_again(letters: DeadLetterStore) -> None:
    letters.keep(letter(1))
    letters.keep(letter(2))
    with letters.retrying(letter(1).id, 2_000, "me", [letter(2).id]):
        assert True
    letters.keep(letter(2, at_ms=3_000))
    assert (letters.get(letter(1).id).deaths, letters.get(letter(2).id).deaths) == (1, 2)


def test_one_that_could_not_be_sent_stays_as_it_was(letters: DeadLetterStore) -> None:
    letters.keep(letter(1))
    before = letters.get(letter(1).id)
    with pytest.raises(ConnectionError), letters.retrying(before.id, 2_000, "me", [letter(2).id]):
        raise ConnectionError
    assert letters.get(before.id) == before
    letters.keep(letter(2))
    assert letters.count(ANY) == 2


def test_what_is_not_there_cannot_be_sent(letters: DeadLetterStore) -> None:
    with pytest.raises(NoSuchLetter), letters.retrying("none", 1, "me", ["other"]):
        raise AssertionError("never reached")


# -- finding ----------------------------------------------------------------------------------------


def test_pages_come_latest_first_and_miss_nothing(letters: DeadLetterStore) -> None:
    """Five letters, three of which died in the same millisecond."""
    for number, at_ms in ((1, 10), (2, 30), (3, 30), (4, 30), (5, 20)):
        letters.keep(letter(number, at_ms=at_ms))
    pages, after = [], None
    while page := letters.find(ANY, 2, after):
        pages.append(ids(page))
        after = Place(page[-1].last_ms, page[-1].id)
    assert pages == [[4, 3], [2, 5], [1]]


def test_the_letters_of_a_job_are_found_by_its_whole_id(letters: DeadLetterStore) -> None:
    """An id may hold what LIKE takes for a wildcard, and what JSON escapes."""
    for number, job_ids in enumerate([["a", 'q"%'], ["ab"], ["a_b", "q"], ["a"]]):
        letters.keep(letter(number, job_ids=job_ids, at_ms=1_000 + number))

    def of(job_id: str) -> list[int]:
        return ids(letters.of_job(job_id, 10))

    assert of("a") == [3, 0]
    assert of('q"%') == [0]
    assert of("a_b") == [2]
    assert of("%") == []
    assert ids(letters.of_job("a", 1)) == [3]


def test_an_id_may_be_abbreviated_while_it_is_plain(letters: DeadLetterStore) -> None:
    for given in ("abc1", "abd%", "a_c1"):
        letters.keep(letter(id=given))
    assert letters.get("abc").id == "abc1"
    assert letters.get("a_").id == "a_c1"
    with pytest.raises(SeveralLetters):
        letters.get("ab")
    for unknown in ("abc12", "%", "ABC1"):
        with pytest.raises(NoSuchLetter):
            letters.get(unknown)
    with pytest.raises(SeveralLetters):
        letters.get("")
    with pytest.raises(NoSuchLetter):
        letters.payload("abc")


def test_a_whole_id_means_itself_though_others_begin_so(letters: DeadLetterStore) -> None:
    letters.keep(letter(id="abc"))
    letters.keep(letter(id="abcd"))
    assert letters.get("abc").id == "abc"


# -- forgetting -------------------------------------------------------------------------------------


def test_purging_deletes_what_is_wanted_and_nothing_else(letters: DeadLetterStore) -> None:
    for number in range(1, 5):
        letters.keep(letter(number, queue="bulk" if number > 2 else "interactive"))
    assert letters.purge(Filter(queue="bulk"), [letter(1).id, letter(3).id]) == 1
    assert letters.purge(Filter(queue="bulk")) == 1
    assert sorted(ids(letters.find(ANY, 10))) == [1, 2]


def test_one_that_was_purged_and_dies_again_is_a_new_one(letters: DeadLetterStore) -> None:
    letters.keep(letter(1))
    with letters.retrying(letter(1).id, 2_000, "me", [letter(2).id]):
        assert True
    letters.purge(ANY)
    letters.keep(letter(2))
    assert ids(letters.find(ANY, 10)) == [2]


def test_tidying_takes_the_old_and_what_is_too_many(letters: DeadLetterStore) -> None:
    for number in range(1, 7):
        letters.keep(letter(number, at_ms=number * DAY_MS))
    with letters.retrying(letter(1).id, 9 * DAY_MS, "me", [letter(1).id]):
        assert True  # so it changed last
    assert letters.tidy(before_ms=3 * DAY_MS, most=100) == 1
    assert letters.tidy(before_ms=3 * DAY_MS, most=3) == 2
    assert sorted(ids(letters.find(ANY, 10))) == [1, 5, 6]


def test_counts_are_of_what_waits_for_somebody(letters: DeadLetterStore) -> None:
    assert letters.counts().oldest_ms is None
    letters.keep(letter(1, at_ms=10))
    letters.keep(letter(2, at_ms=20, queue="bulk"))
    letters.keep(letter(3, at_ms=30, reason=Reason.MALFORMED))
    letters.keep(letter(4, at_ms=5))
    with letters.retrying(letter(4).id, 40, "me", [letter(4).id]):
        assert True

    counts = letters.counts()
    assert (counts.kept, counts.retried, counts.oldest_ms, counts.newest_ms) == (3, 1, 10, 30)
    assert counts.by_reason == {"crashed": 2, "malformed": 1}
    assert counts.by_queue == {"interactive": 2, "bulk": 1}


def test_the_filters_have_their_indexes(store: Store) -> None:
    with store.writing() as connection:
        indexed = {
            str(name)
            for index in sa.inspect(connection).get_indexes("dead_letters")
            for name in index["column_names"]
        }
    assert {"reason", "queue", "task", "persona", "state", "last_ms", "changed_ms"} <= indexed


# -- any order of events, beside a model ------------------------------------------------------------

NUMBERS = st.integers(1, 4)
TIMES = st.integers(0, 6)
QUEUES = st.sampled_from(["interactive", "bulk"])
REASONS = st.sampled_from([Reason.CRASHED, Reason.HUNG, Reason.MALFORMED])
FILTERS = st.builds(
    Filter,
    reasons=st.sampled_from([(), (Reason.CRASHED,), (Reason.HUNG, Reason.MALFORMED)]),
    queue=st.none() | QUEUES,
    task=st.none() | st.sampled_from(["persona.process", "persona.recommend"]),
    persona=st.none() | st.sampled_from(["", "Lua"]),
    before_ms=st.none() | TIMES,
    after_ms=st.none() | TIMES,
    state=st.none() | st.sampled_from(State),
)


class AnyOrder(RuleBasedStateMachine):
    """Deaths, retries and purges in any order, and what a dict would make of them."""

    store: Store

    @initialize()
    def begin(self) -> None:
        self.letters = DeadLetterStore(self.store)
        self.letters.purge(ANY)
        self.deaths: dict[int, dict[tuple[int, str], DeadLetter]] = {}
        self.waiting: dict[int, bool] = {}
        self.retries: dict[int, int] = {}

    @rule(
        number=NUMBERS,
        at_ms=TIMES,
        queue=QUEUES,
        reason=REASONS,
        persona=st.sampled_from(["", "Lua"]),
        task=st.sampled_from(["persona.process", "persona.recommend"]),
    )
    def die(self, number: int, at_ms: int, queue: str, reason: Reason, persona: str, task: str) -> None:
        died = letter(number, at_ms, queue=queue, reason=reason, persona=persona, task=task)
        seen = self.deaths.setdefault(number, {})
        news = (at_ms, reason) not in seen
        assert self.letters.keep(died) is news
        if news:
            seen[at_ms, reason] = died
            self.waiting[number] = True
            self.retries.setdefault(number, 0)

    @rule(number=NUMBERS, at_ms=TIMES)
    def retry(self, number: int, at_ms: int) -> None:
        if number in self.deaths:
            with self.letters.retrying(letter(number).id, at_ms, "me", [letter(number).id]):
                self.waiting[number] = False
                self.retries[number] += 1

    @rule(wanted=FILTERS)
    def purge(self, wanted: Filter) -> None:
        gone = [number for number in ids(self.letters.find(ANY, 100)) if matches(self._kept(number), wanted)]
        assert self.letters.purge(wanted) == len(gone)
        for number in gone:
            del self.deaths[number], self.waiting[number], self.retries[number]

    @rule(wanted=FILTERS)
    def find(self, wanted: Filter) -> None:
        expected = [self._kept(number) for number in self.deaths if matches(self._kept(number), wanted)]
        expected.sort(key=lambda kept: (kept.last_ms, kept.id), reverse=True)
        assert self.letters.find(wanted, 100) == expected
        assert self.letters.count(wanted) == len(expected)

    @invariant()
    def every_row_is_what_happened(self) -> None:
        if not hasattr(self, "deaths"):
            return
        assert set(ids(self.letters.find(ANY, 100))) == set(self.deaths)
        for number, seen in self.deaths.items():
            kept = self._kept(number)
            assert kept.deaths == len(seen)
            assert kept.retries == self.retries[number]
            assert (kept.state is State.KEPT) is self.waiting[number]
            assert (kept.first_ms, kept.last_ms) == (min(seen)[0], max(seen)[0])
            assert {death_of(died) for died in seen.values()} <= set(kept.story)

    def _kept(self, number: int) -> KeptLetter:
        return self.letters.get(letter(number).id)


def test_any_order_of_events_ends_as_a_dict_would_have_it(store: Store) -> None:
    class Machine(AnyOrder):
        pass

    Machine.store = store
    calm = settings(
        max_examples=15,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Machine, settings=calm)
