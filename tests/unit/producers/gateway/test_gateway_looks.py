"""Which dependencies a gateway looks at, and what a look at one finds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.errors import Unavailable
from producers.gateway.monitoring.condition import Finding
from producers.gateway.monitoring.looks import AlertsLook, DatabaseLook, ServerLook, looks_of
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings
from tests.support.valkey import Server, server
from workers.store.alerts import AlertStore
from workers.store.engine import open_store
from workers.store.errors import StoreError

NOW_S = 1_800_000_000.0


def fleet(**given: Any) -> ClientSettings:
    return ClientSettings.model_validate({"broker_url": "redis://nowhere", "cache_url": "", **given})


@pytest.fixture(scope="module")
def valkey() -> Iterator[Server]:
    with server() as made:
        yield made


@pytest.mark.parametrize(
    ("given", "cache_url", "more"),
    [
        ({"anonymous": True}, "", set()),
        ({"anonymous": True}, "redis://nowhere", {"cache"}),
        ({}, "", {"database"}),
    ],
    ids=["alone", "with-a-cache", "with-keys"],
)
def test_it_looks_at_what_is_used(given: dict[str, bool], cache_url: str, more: set[str]) -> None:
    looks = looks_of(GatewaySettings.model_validate(given), fleet(cache_url=cache_url))

    assert set(looks) == {"broker", "replies", "workers"} | more


def test_a_server_is_looked_at_wherever_it_is_now(valkey: Server) -> None:
    """The address may change, as that of a stack that is started anew; a failure leaves nothing behind."""
    addresses: list[str | None] = [None]
    look = ServerLook("the cache", lambda: addresses[-1], fleet())

    assert look.look() == Finding(detail="there is none")
    addresses.append("unix:///nowhere.sock")
    with pytest.raises(Unavailable, match="the cache"):
        look.look()
    addresses.append(valkey.url)
    assert look.look() == Finding()
    look.close()


def test_a_database_is_looked_at_by_reading(tmp_path: Path) -> None:
    look = DatabaseLook(fleet(database_url=f"sqlite:///{tmp_path / 'ion.db'}"))
    assert look.look() == Finding()
    look.close()


@pytest.mark.parametrize("url", ["sqlite:////dev/null/ion.db", "oracle://somewhere"], ids=["away", "wrong"])
def test_a_database_that_cannot_be_read_is_told(url: str) -> None:
    look = DatabaseLook(fleet(database_url=url))
    with pytest.raises(StoreError):
        look.look()
    look.close()


@pytest.mark.parametrize(
    ("silent_s", "condition"),
    [(3, "operational"), (40, "operational"), (61, "degraded"), (-500, "operational")],
    ids=["just-judged", "late", "stopped", "clock-put-back"],
)
def test_rules_that_nobody_judges_degrade_the_service(tmp_path: Path, silent_s: int, condition: str) -> None:
    url = f"sqlite:///{tmp_path / 'ion.db'}"
    with open_store(url) as store, AlertStore(store).evaluating(NOW_S - silent_s):
        pass
    look = AlertsLook(fleet(database_url=url), lambda: NOW_S)
    assert look.look().condition == condition
    look.close()


def test_rules_that_were_never_judged_are_no_trouble_yet(tmp_path: Path) -> None:
    look = AlertsLook(fleet(database_url=f"sqlite:///{tmp_path / 'ion.db'}"))
    assert look.look() == Finding(detail="no worker has judged the alert rules yet")
    look.close()


@pytest.mark.parametrize(
    ("given", "looked_at"),
    [
        ({"database_url": "sqlite:////nowhere/ion.db"}, True),
        ({"database_url": ""}, False),
        ({"broker_url": None}, True),
        ({}, False),
    ],
    ids=["a-database", "none", "local-stack", "unknown"],
)
def test_alerts_are_looked_at_where_there_is_a_database(given: dict[str, Any], looked_at: bool) -> None:  # noqa: FBT001 - a table's cell
    assert ("alerts" in looks_of(GatewaySettings(), fleet(**given))) is looked_at
