"""Patience with an answer from elsewhere: it ends, but not because this process was busy itself."""

import asyncio
import time

import pytest
import uvloop

from producers.gateway.access.patience import patience

LOOPS = [asyncio.SelectorEventLoop, uvloop.new_event_loop]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=request.param)


def test_what_never_comes_is_not_waited_for(runner: asyncio.Runner) -> None:
    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with patience(0.01):
                await asyncio.Event().wait()

    with runner:
        runner.run(story())


def test_what_comes_in_time_is_had_and_nothing_follows(runner: asyncio.Runner) -> None:
    async def story() -> str:
        async with patience(0.01):
            came = await asyncio.sleep(0, "here")
        await asyncio.sleep(0.02)  # the limit, had it been left in force
        return came

    with runner:
        assert runner.run(story()) == "here"


def test_an_answer_that_came_while_the_loop_was_held_up_is_read(runner: asyncio.Runner) -> None:
    """The loop is held up for five times the patience, as by an import; asyncio.timeout would raise here."""

    async def story() -> bytes:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with patience(0.05):
            writer.write(b"question\n")
            asyncio.get_running_loop().call_soon(time.sleep, 0.25)
            said = await reader.readline()
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return said

    with runner:
        assert runner.run(story()) == b"answer\n"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"answer\n")
    writer.close()
    await writer.wait_closed()


def test_cancelling_is_no_timeout(runner: asyncio.Runner) -> None:
    async def wait() -> None:
        async with patience(30.0):
            await asyncio.Event().wait()

    async def story() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with runner:
        runner.run(story())
