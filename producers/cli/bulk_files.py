"""The result files of a bulk run: opened only when nothing is overwritten by mistake.

Lines are written straight to the files, in order, so ``tail -f`` works; what a run that fails has
written stays and is complete up to the line that it names.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from producers.bulk.errors import UnusableOutput
from producers.bulk.sources import STDIN

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the results go; *output* may be ``-`` for standard output."""

    output: str
    rejects: str


def targets(source: str, output: str, rejects: str | None) -> Targets:
    """Return where the results go; raise UnusableOutput where two of the files are one."""
    if rejects is None:
        if output == STDOUT:
            raise UnusableOutput("--rejects", "is missing", "name a file; stdout has room for one")
        path = Path(output)
        rejects = str(path.with_name(f"{path.stem}.rejects.jsonl"))
    if rejects == STDOUT:
        raise UnusableOutput("--rejects", "cannot be standard output", "name a file")
    named = {"the output": output, "the rejects file": rejects}
    for name, path_text in named.items():
        if path_text != STDOUT and source != STDIN and _same(Path(path_text), Path(source)):
            raise UnusableOutput(path_text, f"is the input and {name} at once", "choose another file")
    if output != STDOUT and _same(Path(output), Path(rejects)) and not _is_device(Path(output)):
        raise UnusableOutput(output, "is the output and the rejects file at once", "choose another file")
    return Targets(output, rejects)


@contextmanager
def opened(target: Targets, *, force: bool) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open both files for writing; raise UnusableOutput, before either is touched, if one may not be."""
    paths = [Path(name) for name in (target.output, target.rejects) if name != STDOUT]
    for path in paths:
        if path.is_file() and not force:
            raise UnusableOutput(str(path), "exists", "choose another file, or overwrite it with --force")
    with ExitStack() as files:
        output = sys.stdout.buffer if target.output == STDOUT else files.enter_context(_open(target.output))
        yield output, files.enter_context(_open(target.rejects))


def _open(name: str) -> BinaryIO:
    try:
        return Path(name).open("wb")
    except OSError as error:
        raise UnusableOutput(name, f"cannot be written: {error.strerror}", "check the path") from None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one does not exist yet
        return one.absolute() == other.absolute()


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file()
