"""Messages that nobody should send, on the queue of one real worker, one after the other.

After each, the worker is the same process, a valid job is answered, and the message is kept as a dead
letter with its reason.  Nothing in it was run, the worker's memory does not grow, and no log line quotes it.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from infra.local.stack import LocalStack
from producers import PersonaClient
from tests.support.hostile import WORDS, Envelope, Item, envelopes, item_of, items
from tests.support.letters import Letters
from tests.support.stack import client_settings_for, start_stack
from workers.contract import names
from workers.contract.dead_letters import MAX_RAW_BYTES, Reason

KEY = "calm-medium-learning"
MARKER = Path("/tmp/ion-test-was-run")  # noqa: S108 - what the bombs touch; a name that they can know
MOST_GROWTH_BYTES = 50_000_000


class Target:
    """One worker, what its process is and says, and where its queue is."""

    def __init__(self, directory: Path) -> None:
        self.lines: list[str] = []
        self.stack: LocalStack = start_stack(
            directory, workers=1, on_line=lambda _, line: self.lines.append(line)
        )
        self.valkey = redis.Redis.from_url(self.stack.urls.reply_url, socket_timeout=60)  # for 100 MB
        self.client = PersonaClient(client_settings_for(self.stack))
        self.letters = Letters(self.stack)
        self.works()
        self.push(b"the first letter, for which the worker loads what a database needs")
        self.letters.next()
        self.process = psutil.Process(self.pid())

    def pid(self) -> int:
        (pid,) = (process.pid for process in self.stack.processes() if process.name == "worker1")
        assert pid is not None
        return pid

    def works(self) -> None:
        assert WORDS in self.client.process(WORDS, KEY).content

    def push(self, raw: bytes) -> None:
        self.valkey.lpush(f"{names.BROKER_PREFIX}{names.INTERACTIVE}", raw)
        self.valkey.lpush(f"{names.BROKER_PREFIX}bell:{names.INTERACTIVE}", "1")  # saves a second's wait

    def is_the_same(self) -> bool:
        return bool(self.process.is_running() and self.pid() == self.process.pid)

    def close(self) -> None:
        self.client.close()
        self.valkey.close()
        self.stack.stop()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    MARKER.unlink(missing_ok=True)
    made = Target(tmp_path_factory.mktemp("target"))
    before = made.process.memory_info().rss
    yield made
    after = made.process.memory_info().rss
    same = made.is_the_same()
    made.close()
    assert same
    assert after - before < MOST_GROWTH_BYTES
    assert not MARKER.exists()


@pytest.fixture(autouse=True)
def _letters_of_other_tests_are_known(target: Target) -> None:
    target.letters.new()


def withstands(target: Target, raw: bytes, codes: str) -> None:
    target.push(raw)
    letter = target.letters.next()
    target.works()

    assert target.is_the_same()
    assert codes == "*" or letter.code in codes.split()
    unknown = letter.code == "UNKNOWN_TASK"
    assert letter.reason == (Reason.UNKNOWN_TASK if unknown else Reason.MALFORMED)
    assert letter.queue == names.INTERACTIVE
    assert len(target.letters.payload(letter)) <= MAX_RAW_BYTES
    assert not any("private" in text for text in (letter.problem, letter.task, letter.fix))
    assert not any("private" in line for line in target.lines)


@pytest.mark.parametrize("envelope", envelopes(MARKER), ids=lambda envelope: envelope.name)
def test_a_hostile_message_is_kept_and_harms_nobody(target: Target, envelope: Envelope) -> None:
    withstands(target, item_of(envelope, names.INTERACTIVE), envelope.codes)


@pytest.mark.parametrize("item", items(names.INTERACTIVE), ids=lambda item: item.name)
def test_what_is_no_message_is_kept_and_harms_nobody(target: Target, item: Item) -> None:
    withstands(target, item.make(), item.codes)


def test_all_of_them_at_once_are_kept_each_once(target: Target) -> None:
    """A letter's id is a digest of what it keeps, so a message that comes twice makes one letter."""
    raw = [item_of(envelope, names.INTERACTIVE) for envelope in envelopes(MARKER)[:20]]
    for one in itertools.chain(raw, raw):
        target.push(one)

    found = target.letters.new()
    while len(found) < len(raw):
        found += target.letters.new()
    target.works()

    assert len(found) == len(raw)
    assert target.letters.new() == []
