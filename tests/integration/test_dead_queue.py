"""Dead letters on their way into the database, through real workers: none is lost, whatever it is up to."""

import shutil
import socket
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient
from tests.support.databases import postgresql_database
from tests.support.dead_letters import kept_in, letter, send, waiting
from tests.support.stack import client_settings_for
from tests.support.wait import wait_until
from workers.contract.dead_letters import Reason
from workers.store.letters import Filter

ANY = Filter()
PATIENT_S = 60.0  # an outage is over when the next try comes, half a minute later at most
KEY = "calm-medium-learning"
RABBITMQ = "NO RABBITMQ ON THIS MACHINE: dead letters on RabbitMQ are NOT tested by this run"


class Fleet:
    """A stack of its own, with a database, and every line that it logs."""

    def __init__(self, directory: Path, **given: object) -> None:
        self.lines: list[str] = []
        defaults = {"state_dir": directory / "ion", "cache": False, "beat": False, "workers": 1}
        settings = LocalSettings.model_validate({**defaults, **given})
        self.stack = LocalStack(settings, lambda _, line: self.lines.append(line))

    def __enter__(self) -> "Fleet":
        self.stack.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.stop()

    @property
    def database(self) -> str:
        assert self.stack.urls.database_url is not None
        return self.stack.urls.database_url

    def send(self, *letters: object) -> None:
        send(self.stack.urls.broker_url, *letters)  # type: ignore[arg-type]

    def kept(self) -> list[str]:
        with kept_in(self.database) as letters:
            return sorted(one.id for one in letters.find(ANY, 1_000))

    def answers(self) -> bool:
        with PersonaClient(client_settings_for(self.stack)) as client:
            return client.process("hi", KEY).persona_used != ""

    def said(self, words: str) -> int:
        return sum(words in line for line in self.lines)


@pytest.fixture(scope="module")
def virtual_host() -> Iterator[str]:
    program = shutil.which("rabbitmqctl")
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", 5672)) != 0 or program is None:
            pytest.skip(RABBITMQ)

    def rabbitmqctl(*arguments: str) -> None:
        assert program is not None
        subprocess.run([program, "--quiet", *arguments], check=True, capture_output=True, timeout=60)

    name = f"ion-dead-{uuid.uuid4().hex[:8]}"
    try:
        rabbitmqctl("add_vhost", name)
    except subprocess.CalledProcessError:
        pytest.skip(RABBITMQ)
    rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    yield name
    rabbitmqctl("delete_vhost", name)


@pytest.fixture(params=["valkey", "rabbitmq"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """One worker on each kind of broker, with a file of its own."""
    given: dict[str, object] = {}
    if request.param == "rabbitmq":
        shared: LocalStack = request.getfixturevalue("stack")
        given = {
            "broker_url": f"amqp://guest:guest@127.0.0.1:5672/{request.getfixturevalue('virtual_host')}",
            "reply_url": shared.urls.reply_url,
            "database_url": f"sqlite:///{tmp_path / 'letters.db'}",
        }
    with Fleet(tmp_path, **given) as made:
        yield made


def test_letters_wait_for_the_database_and_hold_nobody_up(fleet: Fleet) -> None:
    """A lock that somebody keeps stands for every outage: a full disk, a server that is away."""
    first, second, third = (letter(number) for number in (1, 2, 3))
    fleet.send(first, first, b"no letter at all")
    wait_until(lambda: len(fleet.kept()) == 2, PATIENT_S, "the letters are kept")
    [malformed] = set(fleet.kept()) - {first.id}

    holder = sqlite3.connect(fleet.database.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    fleet.send(second, third)
    wait_until(lambda: fleet.said("DEAD LETTERS WAIT"), PATIENT_S, "the worker says so")
    wait_until(lambda: waiting(fleet.stack.urls.broker_url) == 2, PATIENT_S, "it leaves them alone")
    assert fleet.answers()
    wait_until(lambda: fleet.said("Canceling queue dead") >= 2, PATIENT_S, "it tries again")
    assert fleet.said("DEAD LETTERS WAIT") == 1
    assert fleet.kept() == sorted([first.id, malformed])
    holder.rollback()
    holder.close()

    wait_until(lambda: len(fleet.kept()) == 4, PATIENT_S, "they are kept, too")
    wait_until(lambda: fleet.said("the database takes dead letters again"), PATIENT_S, "it says so")
    with kept_in(fleet.database) as letters:
        assert letters.get(first.id).deaths == 1
        assert letters.get(malformed).reason is Reason.MALFORMED
        assert letters.payload(malformed) == b"no letter at all"
    assert not fleet.said("words")


def test_a_worker_that_dies_while_it_waits_leaves_the_letters_to_the_next(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.send(letter(1))
        wait_until(lambda: fleet.kept() == [letter(1).id], PATIENT_S, "the file is there")
        holder = sqlite3.connect(fleet.database.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        fleet.send(letter(2))
        wait_until(lambda: fleet.said("DEAD LETTERS WAIT"), PATIENT_S, "the worker waits")
        worker = next(each for each in fleet.stack.processes() if each.name == "worker1")
        subprocess.run(["kill", "-9", str(worker.pid)], check=True)  # noqa: S607 - any kill will do
        wait_until(lambda: fleet.said("worker1 ended (signal 9)"), PATIENT_S, "it is gone")
        holder.close()
        wait_until(lambda: len(fleet.kept()) == 2, PATIENT_S, "the next one keeps it")


def test_a_fleet_keeps_its_letters_on_postgresql(tmp_path: Path) -> None:
    with postgresql_database() as url, Fleet(tmp_path, database_url=url, worker_pool="prefork") as fleet:
        fleet.send(*(letter(number) for number in range(1, 21)))
        wait_until(lambda: len(fleet.kept()) == 20, PATIENT_S, "they are kept")
        assert not (tmp_path / "ion" / "ion.db").exists()


def test_without_a_database_they_stay_on_their_queue(tmp_path: Path) -> None:
    with Fleet(tmp_path, database_url="") as fleet:
        fleet.send(letter(1))
        assert fleet.answers()  # so the worker has been at work since
        assert waiting(fleet.stack.urls.broker_url) == 1
