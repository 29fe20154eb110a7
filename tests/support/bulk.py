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
    """Return what is wrong with *output* and its rejects; nothing if each line of *source* is there once."""
    with source.open("rb") as lines_in:
        count = sum(1 for _ in lines_in)
    answers = [json.loads(line) for line in output.read_bytes().splitlines()]
    rejects_file = output.with_name(f"{output.stem}.rejects.jsonl")
    rejects = [json.loads(line)["line"] for line in rejects_file.read_bytes().splitlines()]
    lines = [answer["line"] for answer in answers]
    wrong = []
    if sorted(lines + rejects) != list(range(1, count + 1)):
        missing = sorted(set(range(1, count + 1)) - set(lines) - set(rejects))
        wrong.append(
            f"{len(lines)} answers + {len(rejects)} rejects for {count} lines, {len(missing)} missing"
        )
    if ordered and (lines != sorted(lines) or rejects != sorted(rejects)):
        wrong.append("the order is not that of the input")
    if any(line % _REJECT_EVERY for line in rejects):
        wrong.append("a good line was rejected")
    for answer in answers:
        if answer["status"] != "ok" or answer["id"] != answer["line"]:
            wrong.append(f"line {answer['line']} ended as {answer['status']}, id {answer['id']}")
        elif f"{answer['line']}번째" not in answer["content"]:
            wrong.append(f"line {answer['line']} has the answer of another")
    return wrong


class BulkProcess:
    """``ion bulk run IN -o OUT --resume``, started as often as it takes."""

    def __init__(self, env: Mapping[str, str], source: Path, output: Path, *words: str) -> None:
        self._command: Sequence[str | Path] = (
            *(ION, "bulk", "run", source, "-o", output),
            *("--resume", "--json", "--batch", "200", *words),
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
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err.decode()
        return dict(json.loads(out))

    def _size(self) -> int:
        return self._output.stat().st_size if self._output.exists() else 0
