"""The result files of a run: opened only when nothing is lost by it, cut to what the ledger knows.

Answers and rejects are written straight to their files, so ``tail -f`` works.  A Parquet output is written as
JSONL to a spool beside it, with the same guarantees, and converted at the end.  Each file is locked as long
as it is written, so two runs of a machine never mix in one.

Units:   bytes.
Errors:  UnusableOutput; NotResumable when a file is not what the run left.
"""

import fcntl
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from producers.bulk.errors import NotResumable, UnusableOutput
from producers.bulk.parquet import require_pyarrow
from producers.bulk.sources import STDIN

STDOUT = "-"
_SPOOL = ".spool.jsonl"
_OTHER_FORMATS = frozenset({".gz", ".zst", ".csv"})


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the results go; *output* may be ``-`` for standard output."""

    output: str
    rejects: str

    @property
    def parquet(self) -> bool:
        """Whether the answers become a Parquet file."""
        return self.output.lower().endswith(".parquet")

    @property
    def spool(self) -> str:
        """Where the answers are written as the run goes."""
        return f"{self.output}{_SPOOL}" if self.parquet else self.output

    @property
    def lasting(self) -> bool:
        """Whether a later process can go on writing."""
        return self.output != STDOUT and not _is_device(Path(self.output))

    def absolute(self) -> "Targets":
        """Return the same files by their full paths."""
        return Targets(_absolute(self.output), _absolute(self.rejects))


def targets(source: str, output: str, rejects: str | None) -> Targets:
    """Return where the results go; raise UnusableOutput where two of the files are one."""
    if rejects is None:
        if output == STDOUT:
            raise UnusableOutput("--rejects", "is missing", "name a file; stdout has room for one")
        path = Path(output)
        rejects = str(path.with_name(f"{path.stem}.rejects.jsonl"))
    if rejects == STDOUT:
        raise UnusableOutput("--rejects", "cannot be standard output", "name a file")
    if Path(output).suffix.lower() in _OTHER_FORMATS:
        raise UnusableOutput(output, "would be JSONL", "name it .jsonl or .parquet, and pack it afterwards")
    chosen = Targets(output, rejects)
    named = {"the output": output, "the output's spool": chosen.spool, "the rejects file": rejects}
    for name, path_text in named.items():
        if path_text != STDOUT and source != STDIN and _same(Path(path_text), Path(source)):
            raise UnusableOutput(path_text, f"is the input and {name} at once", "choose another file")
    if output != STDOUT and _same(Path(output), Path(rejects)) and not _is_device(Path(output)):
        raise UnusableOutput(output, "is the output and the rejects file at once", "choose another file")
    return chosen


class Files:
    """Both result files, open and locked; nothing of what they hold is touched before ``cut``."""

    def __init__(self, target: Targets) -> None:
        if target.parquet:
            require_pyarrow()
        self._made: list[Path] = []  # until cut says that they are wanted
        with ExitStack() as opening:
            opening.callback(self._unmake)
            self.output: BinaryIO | FileIO = (
                sys.stdout.buffer if target.output == STDOUT else self._open(target.spool, opening)
            )
            self.rejects = self._open(target.rejects, opening)
            self._closing = opening.pop_all()

    @staticmethod
    def refuse_existing(target: Targets) -> None:
        """Raise UnusableOutput if a file is there already."""
        for name in (target.output, target.spool, target.rejects):
            if name != STDOUT and Path(name).is_file():
                raise UnusableOutput(name, "exists", "choose another file, or overwrite it with --force")

    def cut(self, output_bytes: int = 0, rejects_bytes: int = 0) -> None:
        """Drop what the files hold beyond that; raise NotResumable unless they hold that, in whole lines."""
        kept = ((self.output, output_bytes), (self.rejects, rejects_bytes))
        for file, size in kept:
            if _is_regular(file):
                _check(file, size)
        for file, size in kept:
            if _is_regular(file):
                os.ftruncate(file.fileno(), size)
                file.seek(size)
        self._made.clear()

    def sync(self) -> None:
        """Return when what was written survives a power cut; raise UnusableOutput."""
        for file in (self.output, self.rejects):
            if _is_regular(file):
                try:
                    os.fsync(file.fileno())
                except OSError as error:
                    problem = f"cannot be written: {error.strerror}"
                    raise UnusableOutput(str(file.name), problem, "see to its disk") from error

    def close(self) -> None:
        """Close the files; those that were made for nothing are removed."""
        self._closing.close()

    def _unmake(self) -> None:
        for path in self._made:
            path.unlink(missing_ok=True)

    def _open(self, name: str, opening: ExitStack) -> FileIO:
        path = Path(name)
        existed = path.exists()
        try:
            file = opening.enter_context(FileIO(name, "wb", opener=_keeping))
        except OSError as error:
            raise UnusableOutput(name, f"cannot be written: {error.strerror}", "check the path") from None
        if not existed:
            self._made.append(path)
        if _is_regular(file):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                problem = "is being written by another run"
                raise UnusableOutput(name, problem, "wait for it, or choose another file") from None
            except OSError:  # a file system without locks: the lease has to do
                return file
        return file


def _keeping(path: str, flags: int) -> int:
    """Open for writing without dropping what is there."""
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


def _check(file: BinaryIO, size: int) -> None:
    fix = "put the file back, or start anew with --force"
    if os.fstat(file.fileno()).st_size < size:
        raise NotResumable(str(file.name), "holds less than the run has written", fix)
    with Path(str(file.name)).open("rb") as reading:
        reading.seek(max(size - 1, 0))
        if size and reading.read(1) != b"\n":
            raise NotResumable(str(file.name), "is not what the run has written", fix)


def _is_regular(file: BinaryIO) -> bool:
    return isinstance(file.name, str) and file.name != "<stdout>" and Path(file.name).is_file()


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one does not exist yet
        return one.absolute() == other.absolute()


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _absolute(name: str) -> str:
    return name if name == STDOUT else str(Path(name).absolute())
