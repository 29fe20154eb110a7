"""Private directories, the socket's path, the lock and the note about who is running."""

import json
import os
import socket
from pathlib import Path

import pytest

from infra.local import state
from infra.local.directory import SOCKET_PATH_LIMIT, ensure_private, socket_path
from infra.local.errors import AlreadyRunning, UnsafeDirectory

TEMP = Path("/tmp")  # noqa: S108 - a path to compute with, nothing is written


def test_the_socket_is_beside_the_data() -> None:
    assert socket_path(Path("/srv/.ion"), TEMP) == Path("/srv/.ion/valkey.sock")


def test_each_server_has_its_socket_in_the_same_place() -> None:
    assert socket_path(Path("/srv/.ion"), TEMP, "cache.sock") == Path("/srv/.ion/cache.sock")
    deep = Path("/srv") / ("x" * 120)
    assert socket_path(deep, TEMP, "cache.sock") == socket_path(deep, TEMP).with_name("cache.sock")


def test_a_path_that_just_fits_stays() -> None:
    """An 8-byte limit of 20: "/abcdef/valkey.sock" has 19 bytes, and one letter more has 20."""
    assert socket_path(Path("/abcdefg"), TEMP, limit=20) == Path("/abcdefg/valkey.sock")
    with pytest.raises(UnsafeDirectory, match="set TMPDIR"):
        socket_path(Path("/abcdefgh"), TEMP, limit=20)


@pytest.mark.parametrize("name", ["x" * 120, "프로젝트" * 10])
def test_a_long_path_gives_a_short_one_named_after_it(name: str) -> None:
    """Bytes count: forty Korean letters are 120 bytes."""
    path = socket_path(Path("/srv") / name, TEMP)

    assert path.parent.parent == TEMP
    assert len(os.fsencode(path)) <= SOCKET_PATH_LIMIT
    assert path == socket_path(Path("/srv") / name, TEMP)
    assert path != socket_path(Path("/srv") / (name + "2"), TEMP)


def test_the_limit_is_the_kernels(tmp_path: Path) -> None:
    """The longest path by our rule can be bound, and one byte more cannot."""
    shortest = len(os.fsencode(tmp_path)) + 1
    with socket.socket(socket.AF_UNIX) as fits, socket.socket(socket.AF_UNIX) as too_long:
        fits.bind(str(tmp_path / ("x" * (SOCKET_PATH_LIMIT - shortest))))
        with pytest.raises(OSError, match="too long"):
            too_long.bind(str(tmp_path / ("x" * (SOCKET_PATH_LIMIT - shortest + 1))))


def test_a_directory_is_made_private_or_narrowed(tmp_path: Path) -> None:
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o755)

    for path in (wide, tmp_path / "new" / "nested"):
        ensure_private(path)
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_file_or_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    """A link could be someone else's, leading our socket to a directory of theirs."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)

    for name in ("file", "link"):
        with pytest.raises(UnsafeDirectory) as caught:
            ensure_private(tmp_path / name)
        assert caught.value.path == tmp_path / name


def test_the_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    lock = state.StackLock.acquire(tmp_path, patience_s=0)
    try:
        with pytest.raises(AlreadyRunning) as caught:
            state.StackLock.acquire(tmp_path, patience_s=60)  # the holder is alive: no waiting
    finally:
        lock.release()

    assert caught.value.pid == os.getpid()
    assert str(os.getpid()) in str(caught.value)


def test_a_released_lock_is_clean_and_an_abandoned_one_is_not(tmp_path: Path) -> None:
    first = state.StackLock.acquire(tmp_path, patience_s=0)
    os.close(first.fd)  # as the kernel does for a killed process
    second = state.StackLock.acquire(tmp_path, patience_s=0)
    second.release()
    third = state.StackLock.acquire(tmp_path, patience_s=0)
    third.release()

    assert [first.unclean, second.unclean, third.unclean] == [False, True, False]


def test_a_dead_holders_watchdog_is_given_time(tmp_path: Path) -> None:
    """The lock is still held, but by nobody who lives: wait, by the clock given, before giving up."""
    lock = state.StackLock.acquire(tmp_path, patience_s=0)
    (tmp_path / "lock").write_text("999999999")
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds
        if now[0] >= 1.0:
            lock.release()

    try:
        taken = state.StackLock.acquire(tmp_path, patience_s=5.0, clock=lambda: now[0], pause=pause)
        taken.release()
    finally:
        assert now[0] == pytest.approx(1.0, abs=0.1)


def test_a_note_without_a_holder_is_no_stack(tmp_path: Path) -> None:
    assert state.find_running(tmp_path) is None
    state.announce(state.RunningStack(os.getpid(), tmp_path, 0.0, None))
    assert state.find_running(tmp_path) is None
    lock = state.StackLock.acquire(tmp_path, patience_s=0)
    found = state.find_running(tmp_path)
    lock.release()

    assert found == state.RunningStack(os.getpid(), tmp_path, 0.0, None)
    assert found.urls is None


def test_the_note_says_where_the_cache_is_and_may_be_older_than_caches(tmp_path: Path) -> None:
    lock = state.StackLock.acquire(tmp_path, patience_s=0)
    try:
        stack = state.RunningStack(os.getpid(), tmp_path, 0.0, None, "unix:///c?db=0")
        state.announce(stack)
        assert state.find_running(tmp_path) == stack
        note = json.loads((tmp_path / "stack.json").read_text())
        assert note.pop("cache_url") == "unix:///c?db=0"
        (tmp_path / "stack.json").write_text(json.dumps(note))
        assert state.find_running(tmp_path) == state.RunningStack(os.getpid(), tmp_path, 0.0, None)
    finally:
        lock.release()


def test_a_stack_whose_server_does_not_answer_is_not_found(tmp_path: Path) -> None:
    lock = state.StackLock.acquire(tmp_path, patience_s=0)
    state.announce(state.RunningStack(os.getpid(), tmp_path, 0.0, tmp_path / "nobody.sock"))
    found = state.find_running(tmp_path)
    lock.release()

    assert found is None


def test_a_broken_note_is_no_stack(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"pid":')

    assert state.find_running(tmp_path) is None
