"""``ion dead`` in process, over a database of its own, with a broker that only takes notes."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from persona_system.errors import InvalidInput
from producers import broker
from producers.cli.app import new_app, run
from producers.cli.collaborators import Collaborators, Tell
from producers.cli.dead_filters import short_age, since_ms
from producers.cli.doctor_dead import counted, dead_checks
from producers.errors import Unavailable
from producers.settings import ClientSettings
from tests.support.dead_letters import letter
from workers.contract.dead_letters import DeadLetter, Reason, Sighting, letter_id
from workers.contract.payloads import Batch, Job
from workers.store.dead_letters import DeadLetterStore
from workers.store.engine import open_store
from workers.store.letters import Counts, Filter, State

ANY = Filter()
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WORDS = "my private words"
pack = msgspec.msgpack.encode


def ago(ms: int) -> int:
    return int(time.time() * 1000) - ms


def batch(number: int) -> bytes:
    job = msgspec.Raw(pack(Job(id=f"job-{number}", text=WORDS, deadline_ms=1)))
    return pack(Batch(id="old", reply_to="gone", sent_ms=1, jobs=[job]))


class Broker:
    """Stands in for the publisher: what it takes, and whether it takes anything."""

    taken: list[tuple[str, str, bytes, int]] = []  # noqa: RUF012 - emptied by its fixture
    away = False

    def __init__(self, *_: object) -> None:
        pass

    def publish(self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int) -> None:
        _ = batch_id
        if Broker.away:
            raise Unavailable("the broker", "no connection")
        Broker.taken.append((task, queue, payload, jobs))

    def close(self) -> None:
        pass


class Fleet:
    """A fleet that is there, or not; *database_url* is in its settings if it has one."""

    def __init__(self, settings: ClientSettings | None) -> None:
        self._settings = settings

    def reach(self, tell: Tell) -> AbstractContextManager[ClientSettings]:
        raise AssertionError(tell)

    def find(self) -> ClientSettings | None:
        return self._settings


class Ion:
    """Runs command lines and gives exit code, stdout and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], fleet: Fleet) -> None:
        self._capsys, self.fleet = capsys, fleet

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = run(new_app(), Collaborators(self.fleet), ("dead", *words))
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: str, code: int = 0) -> Any:
        said, out, err = self(*words, "--json")
        assert said == code, err
        return json.loads(out)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ion.db'}"


@pytest.fixture
def letters(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadLetterStore]:
    for name in ("ION_BROKER_URL", "ION_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ION_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(broker, "BrokerPublisher", Broker)
    monkeypatch.setattr(Broker, "taken", [])
    with open_store(url) as store:
        yield DeadLetterStore(store)


@pytest.fixture
def ion(capsys: pytest.CaptureFixture[str], letters: DeadLetterStore, url: str) -> Ion:
    _ = letters
    given = {"broker_url": "redis+socket:///nowhere.sock?virtual_host=0", "database_url": url}
    return Ion(capsys, Fleet(ClientSettings.model_validate(given)))


def kept(letters: DeadLetterStore, number: int = 1, **given: Any) -> DeadLetter:
    fields = {"at_ms": ago(HOUR_MS), "payload": batch(number), **given}
    made = letter(number, **fields)
    letters.keep(made)
    return made


# -- list -------------------------------------------------------------------------------------------


def test_a_list_names_each_letter_and_counts_what_waits(ion: Ion, letters: DeadLetterStore) -> None:
    one = kept(letters, 1, at_ms=ago(3 * HOUR_MS))
    two = kept(letters, 2, reason=Reason.MALFORMED, id="f" * 32)
    code, out, _ = ion("list")
    assert code == 0
    assert out.index(two.id[:10]) < out.index(one.id[:10]), "the latest stands first"
    assert "3 h ago" in out
    assert "2 dead letters wait (1 crashed, 1 malformed)" in out
    assert WORDS not in out

    found = ion.json("list")
    assert [each["id"] for each in found["letters"]] == [two.id, one.id]
    assert found["counts"]["by_reason"] == {"crashed": 1, "malformed": 1}
    assert found["total"] == 2


def test_an_empty_list_says_so(ion: Ion) -> None:
    assert ion("list") == (0, "no dead letters wait\n", "")
    assert ion.json("list")["letters"] == []


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--reason", "hung"], {2}),
        (["--reason", "hung", "--reason", "malformed"], {2, 3}),
        (["--queue", "bulk"], {2}),
        (["--persona", "Lua"], {3}),
        (["--task", "persona.recommend"], {1}),
        (["--older-than", "2h"], {1, 2}),
        (["--newer-than", "2h"], {3}),
        (["--older-than", "30m", "--newer-than", "4h"], {2, 3}),
        (["--state", "retried"], set()),
        (["--limit", "2"], {2, 3}),
    ],
)
def test_filters_leave_what_they_say(
    ion: Ion, letters: DeadLetterStore, options: list[str], numbers: set[int]
) -> None:
    kept(letters, 1, at_ms=ago(5 * HOUR_MS), task="persona.recommend")
    kept(letters, 2, at_ms=ago(3 * HOUR_MS), reason=Reason.HUNG, queue="bulk")
    kept(letters, 3, at_ms=ago(1 * HOUR_MS), reason=Reason.MALFORMED, persona="Lua")
    assert {int(each["id"], 16) for each in ion.json("list", *options)["letters"]} == numbers


def test_a_longer_list_says_how_many_more(ion: Ion, letters: DeadLetterStore) -> None:
    for number in range(1, 5):
        kept(letters, number)
    assert "... and 3 more; see --limit" in ion("list", "--limit", "1")[1]


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["list", "--older-than", "soon"], "--older-than"),
        (["list", "--newer-than", "5"], "--newer-than"),
        (["list", "--state", "lost"], "--state"),
        (["retry"], "ID"),
        (["purge"], "ID"),
        (["retry", "abc", "--all"], "ID"),
        (["purge", "abc", "--queue", "bulk"], "ID"),
        (["purge", "--queue", "bulk"], "ID"),
        (["show", "abc"], "ID"),
        (["show", "0"], "ID"),
    ],
)
def test_what_is_not_clear_is_refused(
    ion: Ion, letters: DeadLetterStore, words: list[str], field: str
) -> None:
    kept(letters, 1)
    kept(letters, 2)
    assert ion.json(*words, code=2)["error"]["field"] == field
    assert letters.count(ANY) == 2


# -- show -------------------------------------------------------------------------------------------


def test_a_letter_is_shown_with_its_story_and_without_the_words(ion: Ion, letters: DeadLetterStore) -> None:
    story = [Sighting(ago(2 * HOUR_MS), "lost with its worker", "worker1@ion")]
    made = kept(letters, 1, story=story, fix="mend it", persona="Lua", field="text")
    code, out, _ = ion("show", made.id[-32:])
    assert code == 0
    for words in ("crashed (CRASHED: text)", "mend it", "Lua", "job-1", "lost with its worker (worker1@ion)"):
        assert words in out
    assert "dead: crashed" in out
    assert WORDS not in out

    shown = ion.json("show", made.id)
    assert (shown["job_ids"], shown["deaths"], "payload" in shown) == (["job-1"], 1, False)
    assert [seen["what"] for seen in shown["story"]] == ["lost with its worker", "dead: crashed"]


def test_the_words_are_shown_to_whoever_asks_for_them(ion: Ion, letters: DeadLetterStore) -> None:
    made = kept(letters)
    assert f"job-1: {WORDS}" in ion("show", made.id, "--payload")[1]
    assert ion.json("show", made.id, "--payload")["payload"]["jobs"][0]["text"] == WORDS


def test_what_a_hostile_message_says_of_itself_reaches_no_terminal(
    ion: Ion, letters: DeadLetterStore
) -> None:
    made = kept(letters, task="\x1b[2J[bold]", queue="\x1b]0;gone\x07", job_ids=["\x1b[1m"])
    for words in (("list",), ("show", made.id)):
        code, out, _ = ion(*words)
        assert code == 0
        assert "\x1b" not in out
        assert "\x07" not in out


# -- retry ------------------------------------------------------------------------------------------


def test_a_letter_goes_back_to_its_queue_with_a_deadline_to_come(ion: Ion, letters: DeadLetterStore) -> None:
    made = kept(letters, queue="bulk", task="persona.recommend")
    code, out, err = ion("retry", made.id, "--deadline", "60")
    assert (code, out, err) == (0, "1 dead letter sent again (1 job)\n", "")

    [(task, queue, payload, jobs)] = Broker.taken
    assert (task, queue, jobs) == ("persona.recommend", "bulk", 1)
    [packed] = msgspec.msgpack.decode(payload, type=Batch).jobs
    job = msgspec.msgpack.decode(packed, type=Job)
    assert (job.id, job.text, job.durable) == ("job-1", WORDS, True)
    assert job.deadline_ms is not None
    assert 0 < job.deadline_ms - ago(0) <= 60_000

    row = letters.get(made.id)
    assert (row.state, row.retries) == (State.RETRIED, 1)
    assert row.story[-1].what == "sent again"
    assert "1 sent again" in ion("list")[1]

    letters.keep(letter(id=letter_id(payload), at_ms=ago(0)))
    assert letters.count(ANY) == 1, "dead again, it is the same letter"
    assert letters.get(made.id).deaths == 2


def test_all_that_wait_are_sent_and_those_that_were_sent_are_not(ion: Ion, letters: DeadLetterStore) -> None:
    for number in range(1, 251):
        kept(letters, number, at_ms=ago(HOUR_MS) - number % 7)
    kept(letters, 251, reason=Reason.HUNG)
    assert len(ion.json("retry", "--all", "--reason", "crashed")) == 250
    assert len(Broker.taken) == 250
    assert [each["id"] for each in ion.json("retry", "--all")] == [letter(251).id]


def test_a_malformed_one_is_refused_and_the_others_go(ion: Ion, letters: DeadLetterStore) -> None:
    bad = kept(letters, 1, reason=Reason.MALFORMED, payload=b"rubbish")
    kept(letters, 2)
    nameless = kept(letters, 3, task="")
    code, out, err = ion("retry", "--all")
    assert (code, out) == (1, "1 dead letter sent again (1 job)\n")
    assert f"letter {bad.id} cannot be sent again: it is no message of ours" in err
    assert f"letter {nameless.id} cannot be sent again: its task is not known" in err
    assert letters.get(bad.id).state is State.KEPT

    [refused] = ion.json("retry", bad.id, code=1)
    assert (refused["sent"], refused["error"]["code"]) == (False, "NOT_RETRYABLE")


def test_a_broker_that_is_away_leaves_them_as_they_were(
    ion: Ion, letters: DeadLetterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kept(letters)
    before = letters.get(made.id)
    monkeypatch.setattr(Broker, "away", True)
    assert ion("retry", made.id)[0] == 3
    assert letters.get(made.id) == before


def test_without_a_fleet_there_is_nobody_to_send_to(ion: Ion, letters: DeadLetterStore) -> None:
    """But the letters of a stack that was stopped can be looked at."""
    ion.fleet = Fleet(None)
    code, _, err = ion("list")
    assert (code, "there is none at" in err) == (3, True)
    made = kept(letters)
    assert ion("show", made.id)[0] == 0
    code, _, err = ion("retry", made.id)
    assert (code, "no stack runs here" in err) == (3, True)


# -- purge ------------------------------------------------------------------------------------------


def test_purging_takes_what_was_named(ion: Ion, letters: DeadLetterStore) -> None:
    one, two = kept(letters, 1), kept(letters, 2, id="f" * 32)
    assert ion("purge", two.id[:6], "--yes") == (0, "1 dead letter deleted\n", "")
    assert [row.id for row in letters.find(ANY, 9)] == [one.id]
    kept(letters, 3, queue="bulk")
    assert ion.json("purge", "--all", "--queue", "bulk", "--yes") == {"deleted": 1}
    assert ion.json("purge", "--all", "--yes") == {"deleted": 1}
    assert ion.json("purge", "--all", "--yes") == {"deleted": 0}


def test_nothing_is_deleted_while_nobody_says_yes(ion: Ion, letters: DeadLetterStore) -> None:
    kept(letters)
    assert ion.json("purge", "--all", code=2)["error"]["field"] == "--yes"
    assert letters.count(ANY) == 1


# -- the database, and the doctor -------------------------------------------------------------------


def test_a_database_that_is_away_is_told_with_what_to_do(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/ion")
    code, _, err = ion("list")
    assert code == 3
    assert "the database is not available: no connection; see that the server runs" in err
    monkeypatch.setenv("ION_DATABASE_URL", "mysql://me:secret@host/ion")
    code, _, err = ion("list")
    assert (code, "secret" in err) == (2, False)


def test_a_fleet_without_a_database_is_told_where_its_letters_are(ion: Ion) -> None:
    ion.fleet = Fleet(ClientSettings.model_validate({"broker_url": "redis://broker"}))
    code, _, err = ion("list")
    assert code == 3
    assert "wait on the queue `dead`; set ION_DATABASE_URL" in err
    [check] = dead_checks(ion.fleet)
    assert (check.status, "queue `dead`" in check.found) == ("warn", True)


def test_none_on_purpose_is_none(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_DATABASE_URL", "")
    code, _, err = ion("list")
    assert (code, "wait on the queue `dead`" in err) == (3, True)


def test_the_doctor_counts_them(ion: Ion, letters: DeadLetterStore) -> None:
    assert ion("list")[0] == 0  # which makes the file, as any worker would
    [check] = dead_checks(ion.fleet)
    assert (check.status, check.found) == ("ok", "no dead letters wait")
    kept(letters)
    [check] = dead_checks(ion.fleet)
    assert (check.status, check.fix) == ("warn", "see `ion dead list`; then retry or purge them")
    assert "1 dead letter waits (1 crashed); the oldest died 1 h ago" in check.found


def test_letters_that_are_no_news_are_no_remark() -> None:
    now_ms = 10 * DAY_MS
    old = Counts(2, 0, {"hung": 2}, {"bulk": 2}, DAY_MS, 8 * DAY_MS)
    assert counted(old, now_ms).status == "ok"
    assert counted(Counts(2, 0, {"hung": 2}, {"bulk": 2}, DAY_MS, 10 * DAY_MS - 1), now_ms).status == "warn"


def test_the_doctor_tells_of_a_database_that_is_away(ion: Ion, tmp_path: Path) -> None:
    given = {"broker_url": "redis://broker", "database_url": f"sqlite:///{tmp_path / 'none' / 'ion.db'}"}
    [check] = dead_checks(Fleet(ClientSettings.model_validate(given)))
    assert (check.status, "none so far" in check.found) == ("ok", True)
    given["database_url"] = "postgresql://postgres@127.0.0.1:1/ion"
    [check] = dead_checks(Fleet(ClientSettings.model_validate(given)))
    assert (check.status, bool(check.fix)) == ("fail", True)
    _ = ion


def test_the_documentation_names_every_reason() -> None:
    text = (Path(__file__).parents[3] / "docs" / "dead-letters.md").read_text(encoding="utf-8")
    assert {reason.value for reason in Reason} <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("age", "ms"),
    [
        ("0s", 0),
        ("90s", 90_000),
        ("5M", 300_000),
        ("12h", 12 * HOUR_MS),
        (" 7d ", 7 * DAY_MS),
        ("1w", 7 * DAY_MS),
    ],
)
def test_ages_as_people_type_them(age: str, ms: int) -> None:
    assert since_ms("--older-than", age, 100 * DAY_MS) == 100 * DAY_MS - ms


@pytest.mark.parametrize("age", ["", "d", "-1d", "1.5h", "1d12h", "1 d", "9999999s", "٣d"])
def test_what_is_no_age_is_refused(age: str) -> None:
    with pytest.raises(InvalidInput):
        since_ms("--older-than", age, DAY_MS)


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "now"),
        (5_000, "5 s"),
        (90_000, "1 min"),
        (5 * HOUR_MS, "5 h"),
        (13 * DAY_MS, "13 d"),
        (21 * DAY_MS, "3 w"),
    ],
)
def test_ages_as_people_read_them(ms: int, shown: str) -> None:
    assert short_age(ms) == shown
