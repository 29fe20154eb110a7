"""What the guarded consumer does when things go wrong around a message, without a broker."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from amqp.exceptions import PreconditionFailed
from celery import Celery
from celery.exceptions import WorkerShutdown
from celery.worker.consumer import Consumer
from kombu import compression
from kombu.message import Message

from workers.contract import names
from workers.contract.dead_letters import DeadLetter
from workers.errors import Unavailable
from workers.guard import (
    CompressionRefused,
    GuardedConsumer,
    arguments_of_tasks,
    refuse_compression,
)

WORDS = "my very private words"
NOTHING = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class Letters(list[DeadLetter]):
    """Dead letters in memory; *away* says how many times they are not taken."""

    away = 0

    def keep(self, letter: DeadLetter) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the broker", "away")
        self.append(letter)


class Timer:
    """Notes what is to be called, and calls it when told to."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._next: Callable[[], None] | None = None

    def call_after(self, wait_s: float, call: Callable[..., None], given: tuple[Any, ...]) -> None:
        self.waits.append(wait_s)
        self._next = lambda: call(*given)

    def ring(self) -> None:
        assert self._next is not None
        self._next()


class Channel:
    """Notes acknowledgements."""

    no_ack_consumers = None

    def __init__(self) -> None:
        self.acknowledged: list[Any] = []

    def basic_ack(self, tag: Any, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's
        _ = multiple
        self.acknowledged.append(tag)


class Stage:
    """A guarded consumer whose Celery does as the test says with a message."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, app: Celery) -> None:
        self.letters, self.timer, self.channel = Letters(), Timer(), Channel()
        self.celery: Callable[[Any], None] = lambda _: None
        monkeypatch.setattr(Consumer, "create_task_handler", lambda _: self.celery)
        self.consumer: Any = object.__new__(GuardedConsumer)
        self.consumer.app, self.consumer.hostname, self.consumer.timer = (
            app,
            "w1",
            self.timer,
        )
        self.consumer.connection_errors = (
            ConnectionError,
            KeyError,
        )  # as with kombu's Redis transport
        self.consumer._dead_letters = self.letters
        self.consumer.task_consumer = type("TaskConsumer", (), {"channel": self.channel})()

    def receive(self, **headers: Any) -> None:
        task = self.consumer.app.amqp.as_task_v2("b1", names.PERSONA_PROCESS, argsrepr="", kwargsrepr="")
        body = msgspec.msgpack.encode([[WORDS.encode()], {}, NOTHING])
        message = Message(
            body=body,
            delivery_tag="t1",
            content_type="application/x-msgpack",
            content_encoding="binary",
            delivery_info={"routing_key": names.BULK},
            headers={**task.headers, **headers},
            channel=self.channel,
        )
        self.consumer.create_task_handler()(message)

    def raising(self, error: BaseException) -> None:
        def celery(message: Any) -> None:
            _ = message
            raise error

        self.celery = celery


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with Celery("test", set_as_current=False) as app:

        @app.task(name=names.PERSONA_PROCESS, bind=True, shared=False)  # type: ignore[untyped-decorator]
        def process(self: Any, payload: bytes) -> None:
            _ = self, payload

        @app.task(name=names.CACHE_WARM, shared=False)  # type: ignore[untyped-decorator]
        def warm() -> None:
            pass

        yield Stage(monkeypatch, app)


def test_celery_gets_a_good_message_and_nothing_is_kept(stage: Stage) -> None:
    got: list[Any] = []
    stage.celery = got.append
    stage.receive()

    assert len(got) == 1
    assert (stage.letters, stage.channel.acknowledged) == ([], [])


def test_celery_never_sees_a_bad_one(stage: Stage) -> None:
    stage.raising(AssertionError("it did"))
    stage.receive(timelimit=WORDS)

    assert [letter.code for letter in stage.letters] == ["BAD_HEADER"]
    assert stage.channel.acknowledged == ["t1"]


@pytest.mark.parametrize("error", [KeyError(WORDS), ValueError(WORDS), RecursionError(), TypeError()])
def test_what_gets_past_the_check_and_fails_is_kept(
    stage: Stage, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stage.raising(error)
    stage.receive()

    (letter,) = stage.letters
    assert (letter.code, letter.problem) == (
        "UNACCEPTABLE",
        f"raised {type(error).__name__}",
    )
    assert stage.channel.acknowledged == ["t1"]
    assert "private" not in caplog.text


@pytest.mark.parametrize("error", [ConnectionError(), MemoryError(), SystemExit()])
def test_what_is_no_fault_of_the_message_goes_on_its_way(stage: Stage, error: BaseException) -> None:
    stage.raising(error)
    with pytest.raises(type(error)):
        stage.receive()
    assert (stage.letters, stage.channel.acknowledged) == ([], [])


def test_a_message_is_acknowledged_after_its_letter_is_taken(stage: Stage) -> None:
    stage.letters.away = 7
    stage.receive(eta=WORDS)
    for _ in range(7):
        assert (stage.letters, stage.channel.acknowledged) == ([], [])
        stage.timer.ring()

    assert stage.timer.waits == [0.5, 1, 2, 4, 8, 15, 15]
    assert len(stage.letters) == 1
    assert stage.channel.acknowledged == ["t1"]


def test_celerys_own_refusals_are_kept_too(stage: Stage) -> None:
    for refuse in (
        lambda message: stage.consumer.on_unknown_message(None, message),
        lambda message: stage.consumer.on_unknown_task(None, message, KeyError()),
        lambda message: stage.consumer.on_invalid_task(None, message, ValueError(WORDS)),
        lambda message: stage.consumer.on_decode_error(message, CompressionRefused()),
    ):
        stage.celery = refuse
        stage.receive()

    codes = [letter.code for letter in stage.letters]
    assert codes == ["BAD_HEADERS", "UNKNOWN_TASK", "INVALID_TASK", "COMPRESSED"]
    assert stage.channel.acknowledged == ["t1"] * 4


def test_the_tasks_are_ours_and_their_arguments_are_counted(stage: Stage) -> None:
    """Celery's built-in ones, such as ``celery.map``, run whatever a message names."""
    assert arguments_of_tasks(stage.consumer.app) == {
        names.PERSONA_PROCESS: 1,
        names.CACHE_WARM: 0,
    }


def test_nothing_compressed_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_decoders", dict(compression._decoders))
    packed, kind = compression.compress(b"x", "zlib")
    refuse_compression()

    message = Message(body=packed, headers={"compression": kind})
    with pytest.raises(CompressionRefused):
        message._reraise_error()
    assert message.body == packed


def test_a_queue_of_another_kind_ends_the_worker_and_says_what_to_read(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    error = PreconditionFailed("inequivalent arg 'x-queue-type'", (50, 10), "Queue.declare")
    with pytest.raises(WorkerShutdown):
        stage.consumer.on_connection_error_after_connected(error)
    assert "docs/rabbitmq.md" in caplog.text
