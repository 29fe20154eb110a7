"""T22: the database for dead letters is away; the disk of the broker is full."""

import threading
from pathlib import Path

from tests.chaos.arena import arena
from tests.chaos.poison import Supervisor
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account
from tests.support.wait import wait_until
from workers.store.dead_letters import DeadLetterStore
from workers.store.engine import open_store
from workers.store.letters import Filter

_AWAY_S = 10.0
_KEPT_S = 60.0
_GIVE_UP_S = 120.0


def database_away(stage: Stage) -> Result:
    """Let a job die while the database cannot be opened: its letter waits, work goes on, then it is kept."""
    place = stage.directory / "database"
    place.write_text("a file where a directory should be")
    settings = {"ION_DATABASE_URL": f"sqlite:///{place}/ion.db"}
    with arena(stage, workers=2, pause_s=0.02, window=100, settings=settings) as ring, Supervisor(ring):
        ring.open_up()
        bad = [f"exit-{number}" for number in range(stage.pick(3, 1))]
        for job in bad:
            ring.traffic.send(job)
        wait_until(lambda: all(ring.oracle.statuses_of(bad).values()), _GIVE_UP_S, "they end")
        stage.say("the poison has ended; its letters wait")
        before = ring.oracle.endings()
        threading.Event().wait(_AWAY_S)
        meanwhile = ring.oracle.endings() - before
        place.unlink()
        place.mkdir()
        wait_until(lambda: _letters(place) >= len(bad), _KEPT_S + _GIVE_UP_S, "the letters are kept")
        ring.traffic.settle(30.0)
        tally, kept = ring.oracle.tally(), _letters(place)
        statuses = ring.oracle.statuses_of(bad)
    broken = broken_account(tally)
    if any(ends != ("dead",) for ends in statuses.values()):
        broken.append(f"the poison ended as {statuses}")
    if kept != len(bad):
        broken.append(f"{kept} letters for {len(bad)} dead jobs")
    if not meanwhile:
        broken.append("no work was done meanwhile")
    said = (
        f"{account(tally)}; {kept} of {len(bad)} letters kept afterwards; {meanwhile:,} jobs ended meanwhile"
    )
    return Result(1, said, broken, {"statuses": tally.statuses, "kept": kept, "meanwhile": meanwhile})


def _letters(place: Path) -> int:
    if not (place / "ion.db").exists():
        return 0
    with open_store(f"sqlite:///{place}/ion.db") as store:
        return DeadLetterStore(store).count(Filter())


SCENARIOS = (
    Scenario(
        "T22",
        f"the database for dead letters cannot be opened for {_AWAY_S:g} s and more, while jobs die",
        "the dead jobs end as dead; their letters wait on their queue and are kept once; work goes on",
        "nothing lost",
        database_away,
    ),
)
