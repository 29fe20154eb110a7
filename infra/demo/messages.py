"""The real messages that ship with the demo; their sources and licences stand in data/ATTRIBUTION.md."""

import gzip
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class DemoMessage:
    """One message: *language* is what its source says (``ko`` or ``en``), *source* names the data set."""

    language: str
    source: str
    text: str


def load_messages() -> list[DemoMessage]:
    """Return all 6,000 messages, in the order of the file."""
    packed = files("infra.demo").joinpath("data/messages.tsv.gz").read_bytes()
    rows = gzip.decompress(packed).decode("utf-8").splitlines()[1:]
    return [DemoMessage(*row.split("\t", 2)) for row in rows]
