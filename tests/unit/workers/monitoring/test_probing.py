"""What one look at the fleet measures, and that one blind eye closes no other."""

from collections.abc import Callable, Sequence

import pytest

from workers.monitoring.collecting.probing import BrokerView, Prober, QueueView
from workers.monitoring.recorder import MemoryRecorder

NOW_S = 1_800_000_000.0


class Away(Exception):
    """A server is away."""


class Surroundings:
    """A broker, notes and letters, as a test wants them."""

    errors: tuple[type[Exception], ...] = (Away,)

    def __init__(self) -> None:
        self.view: BrokerView | None = BrokerView({}, [])
        self.turn, self.gone = True, list[str]()
        self.late_s: float | None = None
        self.letters: int | None = 0

    def look(self) -> BrokerView:
        if self.view is None:
            raise Away
        return self.view

    def due(self, region: str) -> bool:
        return self.turn and region == "eu"

    def lost(self, there: Sequence[str], now_s: float) -> Sequence[str]:
        assert now_s == NOW_S
        return [name for name in self.gone if name not in there]

    def duplicates(self) -> int:
        return 2

    def users(self, now_s: float) -> int:
        assert now_s == NOW_S
        return 11

    def beat_lag_s(self, now_s: float) -> float | None:
        assert now_s == NOW_S
        return self.late_s

    def kept(self) -> int:
        if self.letters is None:
            raise Away
        return self.letters

    def probe(self, *more: Callable[[float], None]) -> dict[str, float]:
        """Look once; return what was measured."""
        recorder = MemoryRecorder("eu", "test", lambda: NOW_S)
        Prober("eu", self, self, self, recorder, (Away,), more).probe(NOW_S)
        return {"/".join((cell.metric, *cell.labels)): cell.total for cell in recorder.take().cells}


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


def test_whoever_is_not_due_looks_at_nothing(around: Surroundings) -> None:
    around.turn = False
    assert around.probe() == {}


def test_a_look_tells_of_queues_workers_letters_people_and_ticks(around: Surroundings) -> None:
    around.view = BrokerView({"interactive": QueueView(3, 1.5), "bulk": QueueView(0)}, ["a@x", "b@x", "b@x"])
    around.gone, around.letters = ["a@x", "c@x"], 4
    assert around.probe() == {
        "instance_count": 3,
        "queue_depth/interactive": 3,
        "queue_oldest_age/interactive": 1.5,
        "queue_depth/bulk": 0,
        "queue_oldest_age/bulk": 0,
        "worker_up/a@x": 1,
        "worker_up/b@x": 1,
        "worker_up/c@x": 0,
        "users_active": 11,
        "duplicates_suppressed": 2,
        "dead_letters_kept": 4,
    }


def test_an_age_that_nobody_knows_is_a_gap(around: Surroundings) -> None:
    around.view = BrokerView({"bulk": QueueView(3)}, ["a"])
    assert "queue_oldest_age/bulk" not in around.probe()


def test_how_late_the_latest_tick_was(around: Surroundings) -> None:
    assert "beat_tick_lag" not in around.probe()
    around.late_s = 0.04
    assert around.probe()["beat_tick_lag"] == 0.04


def test_without_the_broker_the_rest_is_seen(around: Surroundings) -> None:
    around.view = None
    seen = around.probe()
    assert "instance_count" not in seen
    assert seen["monitoring_trouble/looking at the broker"] == 1
    assert seen["dead_letters_kept"] == 0


def test_without_the_database_the_rest_is_seen(around: Surroundings) -> None:
    around.letters = None
    seen = around.probe()
    assert "dead_letters_kept" not in seen
    assert seen["users_active"] == 11


def test_each_further_look_fails_for_itself(around: Surroundings) -> None:
    looked: list[float] = []

    def blind(_: float) -> None:
        raise Away

    seen = around.probe(blind, looked.append)
    assert looked == [NOW_S]
    assert seen["monitoring_trouble/looking at the database"] == 1
