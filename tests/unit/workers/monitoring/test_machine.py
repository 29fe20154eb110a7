"""Processors and memory, by the limits of a container where there are any."""

from pathlib import Path

import pytest

from tests.support.measuring import ListRecorder
from workers.monitoring.collecting.machine import Machine, own_group


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A container with half a processor and a gigabyte, of which files take a part."""
    write(tmp_path, "cpu.max", "50000 100000\n")
    write(tmp_path, "cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
    write(tmp_path, "memory.max", "1000000000\n")
    write(tmp_path, "memory.current", "700000000\n")
    write(tmp_path, "memory.stat", "anon 5\ninactive_file 100000000\n")
    return tmp_path


def write(group: Path, name: str, text: str) -> None:
    (group / name).write_text(text, encoding="ascii")


def test_a_container_is_measured_by_its_limits(group: Path) -> None:
    """2 s of work in 10 s on half a processor are 40 %; 0.6 of 1 GB are 60 %."""
    clock, recorder = Clock(), ListRecorder()
    machine = Machine(group, clock, cores=4)
    write(group, "cpu.stat", "usage_usec 3000000\n")
    clock.now_s = 10
    machine.look(recorder)

    assert recorder.values("cpu_utilization") == pytest.approx([40])
    assert recorder.values("memory_utilization") == pytest.approx([60])


@pytest.mark.parametrize("limits", ["max 100000", "", "rubbish"], ids=["no-limit", "empty", "rubbish"])
def test_without_limits_it_is_the_machine(group: Path, limits: str) -> None:
    clock, recorder = Clock(), ListRecorder()
    machine = Machine(group, clock)
    write(group, "cpu.max", limits)
    write(group, "memory.max", "max\n")
    clock.now_s = 10
    machine.look(recorder)

    assert all(0 <= value <= 100 for _, _, value in recorder.taken)
    assert len(recorder.taken) == 2


def test_two_looks_at_once_are_one(group: Path) -> None:
    clock, recorder = Clock(), ListRecorder()
    machine = Machine(group, clock)
    clock.now_s = 10
    machine.look(recorder)
    machine.look(recorder)

    assert len(recorder.taken) == 2


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    assert own_group().parts[:3] == ("/", "sys", "fs")
    clock, recorder = Clock(), ListRecorder()
    machine = Machine(tmp_path / "no group", clock)
    clock.now_s = 10
    machine.look(recorder)

    assert {name for name, _, _ in recorder.taken} == {"cpu_utilization", "memory_utilization"}
