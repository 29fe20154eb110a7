"""The newest bulk runs for Flower's page of batches; no words of people, only counts and names of files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from producers.cli.bulk_runs import run_json
from producers.errors import Unavailable
from producers.settings import ClientSettings
from workers.store.bulk_runs import BulkRuns
from workers.store.engine import open_store
from workers.store.errors import StoreError

_MOST = 50


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs that were *found*, newest first; *trouble* says why they could not be looked for."""

    found: Sequence[Mapping[str, Any]] = ()
    trouble: str = ""


def newest_runs() -> Runs:
    """Return what the ledger has."""
    try:
        with open_store(ClientSettings().database_address(), create=False) as store:
            found = BulkRuns(store).newest(_MOST)
    except (StoreError, Unavailable) as error:
        return Runs(trouble=str(error))
    return Runs([row_of(run_json(run)) for run in found])


def row_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return *run*, as ``ion bulk show --json`` tells it, with what its row shows besides."""
    share = 1.0 if run["state"] == "complete" else run["share"]
    return {
        **run,
        "percent": None if share is None else round(100 * share),
        "file": PurePath(run["input"]).name,
        "began": run["started"][:19].replace("T", " "),
    }
