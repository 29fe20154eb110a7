"""Bulk runs as processes that are killed and resumed, and what must hold of their files in the end.

write_messages(source, 10_000)
run = BulkProcess(env, source, output)
killed = run.kill_when_grown_by(2_000_000)   # the process is gone by kill -9
run.finish()                                 # resumed, to its end
assert each_line_once(source, output) == []
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.support.wait import wait_until

ION = Path(sys.executable).with_name("ion")
_KEYS = ("calm-medium-learning", "frustrated-burst-problem-solving", "urgent-flowing-plan")
_REJECT_EVERY = 97


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with *given* as its only settings of ours."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("ION_")}, **given}


def write_messages(path: Path, count: int, *, keys: bool = True) -> None:
    """Write *count* lines; each says its number, and each 97th is no JSON."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, count + 1):
            if number % _REJECT_EVERY == 0:
                file.write("not JSON\n")
                continue
            record: dict[str, Any] = {"id": number, "user_input": f"{number}번째 배포가 또 실패했어요."}
            if keys:
                record["resonance_key"] = _KEYS[number % len(_KEYS)]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def each_line_once(source: Path, output: Path, *, ordered: bool = True) -> list[str]:
    """Return what is wrong with *output* and its rejects; nothing if each line of *source* is there once.

    The files are read a line at a time: they may be larger than the memory.
    """
    with source.open("rb") as lines:
        audit = _Audit(sum(1 for _ in lines), ordered)
    with output.open("rb") as answers:
        for packed in answers:
            answer = msgspec.json.decode(packed, type=_Answer)
            audit.take(answer.line)
            if answer.status != "ok" or answer.id != answer.line:
                audit.note(f"a line ended as {answer.status}, or with the id of another")
            elif f"{answer.line}번째" not in answer.content:
                audit.note("a line has the answer of another")
    audit.last = 0
    with output.with_name(f"{output.stem}.rejects.jsonl").open("rb") as rejects:
        for packed in rejects:
            line = msgspec.json.decode(packed, type=_Reject).line
            audit.take(line)
            if line % _REJECT_EVERY:
                audit.note("a good line was rejected")
    return audit.findings()


class _Audit:
    """Counts the results of each of *count* lines, and what is wrong with them."""

    def __init__(self, count: int, ordered: bool) -> None:  # noqa: FBT001 - two arguments, one caller
        self._count, self._ordered = count, ordered
        self._seen = bytearray(count + 1)  # more than 255 results of one line are not told apart
        self._wrong: dict[str, int] = {}
        self.last = 0

    def note(self, what: str) -> None:
        self._wrong[what] = self._wrong.get(what, 0) + 1

    def take(self, line: int) -> None:
        if 1 <= line <= self._count:
            self._seen[line] = min(255, self._seen[line] + 1)
        else:
            self.note("a result is of a line that is not there")
        if self._ordered and line < self.last:
            self.note("the order is not that of the input")
        self.last = line

    def findings(self) -> list[str]:
        missing, twice = self._seen.count(0, 1), sum(times > 1 for times in self._seen)
        if missing or twice:
            self.note(f"{missing:,} of {self._count:,} lines have no result, {twice:,} more than one")
        return [f"{what} ({times:,} times)" if times > 1 else what for what, times in self._wrong.items()]


class _Answer(msgspec.Struct):
    line: int
    id: int | str | None
    status: str
    content: str = ""


class _Reject(msgspec.Struct):
    line: int


class BulkProcess:
    """``ion bulk run IN -o OUT --resume``, started as often as it takes."""

    def __init__(self, env: Mapping[str, str], source: Path, output: Path, *words: str) -> None:
        self._command: Sequence[str | Path] = (
            *(ION, "bulk", "run", source, "-o", output),
            *("--resume", "--json", *(words or ("--batch", "200"))),
        )
        self._env, self._output = dict(env), output
        self.starts = 0

    def start(self, *before: str) -> "subprocess.Popen[bytes]":
        """Start it, behind the words *before*, e.g. those of a program that sets limits."""
        self.starts += 1
        command = [*before, *self._command]
        return subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def kill_when_grown_by(self, size: int) -> bool:
        """Kill it, with SIGKILL, when its output is so many bytes longer; False if it ended before."""
        begun = self._size()
        process = self.start()
        wait_until(
            lambda: self._size() >= begun + size or process.poll() is not None, 120, "the output grows"
        )
        killed = process.poll() is None
        process.kill()
        process.communicate()
        return killed

    def finish(self) -> dict[str, Any]:
        """Let it run to its end and return its summary."""
        process = self.start()
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err.decode()
        return dict(json.loads(out))

    def _size(self) -> int:
        return self._output.stat().st_size if self._output.exists() else 0
