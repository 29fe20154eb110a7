"""Log lines for machines: one object a line, with ids, and nothing of what people wrote."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from workers.observability.context import binding, bound
from workers.observability.logs import FORMAT, JsonFormatter, handler_of
from workers.observability.settings import LogFormat

WORDS = "my very private words"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def written(stream: io.StringIO, style: LogFormat) -> Iterator[logging.Logger]:
    logger = logging.getLogger("ion.test.json")
    handler = handler_of(stream, style, "eu", FORMAT)
    logger.handlers[:] = [handler]
    logger.propagate = False
    yield logger
    logger.handlers[:] = []
    logger.propagate = True


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(stream: io.StringIO) -> Iterator[logging.Logger]:
    yield from written(stream, "json")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_that_says_when_who_and_what(stream: io.StringIO, logger: logging.Logger) -> None:
    with binding(batch_id="b1", request_id=None):
        logger.warning("took %d\nlines", 2)

    (line,) = lines(stream)
    assert line.keys() == {"ts", "level", "logger", "message", "process", "region", "batch_id"}
    assert line["message"] == "took 2\nlines"
    assert (line["level"], line["region"], line["batch_id"]) == ("WARNING", "eu", "b1")
    assert line["ts"].endswith("+00:00")


def test_an_error_is_its_type_and_place(stream: io.StringIO, logger: logging.Logger) -> None:
    try:
        dict[str, str]()[WORDS]
    except KeyError:
        logger.exception("it went wrong", extra={"payload": WORDS})

    (line,) = lines(stream)
    assert line["error"].startswith("KeyError at ")
    assert WORDS not in stream.getvalue()


def test_what_no_json_can_hold_is_written_all_the_same() -> None:
    line = JsonFormatter("eu").format(logging.makeLogRecord({"msg": "half of a pair: \ud83d"}))

    assert json.loads(line)["message"] == "half of a pair: ?"


def test_ids_hold_within_their_block_and_for_this_task_of_a_loop_only() -> None:
    async def one(job_id: str) -> tuple[str, str]:
        with binding(job_id=job_id):
            await asyncio.sleep(0)
            return bound()["job_id"], bound()["request_id"]

    async def both() -> list[tuple[str, str]]:
        with binding(request_id="r1"):
            return list(await asyncio.gather(one("a"), one("b")))

    assert asyncio.run(both()) == [("a", "r1"), ("b", "r1")]
    assert bound() == {}


@pytest.mark.parametrize(
    ("stream", "style", "as_json"),
    [
        pytest.param(io.StringIO(), "auto", True, id="auto-to-a-file"),
        pytest.param(Terminal(), "auto", False, id="auto-on-a-terminal"),
        pytest.param(Terminal(), "json", True, id="json-on-a-terminal"),
        pytest.param(io.StringIO(), "human", False, id="human-to-a-file"),
    ],
)
def test_people_read_lines_on_a_terminal(stream: io.StringIO, style: LogFormat, as_json: bool) -> None:  # noqa: FBT001 - a case
    for logger in written(stream, style):
        logger.warning("hello")

    assert stream.getvalue().startswith("{") is as_json
    assert "hello" in stream.getvalue()
