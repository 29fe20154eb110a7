"""``ion alerts`` over a database in which something is wrong."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from producers.cli.app import new_app, run
from producers.cli.collaborators import Collaborators, ConfiguredFleet
from tests.support.planted import WELL, PlantedFleet
from workers.store.audit import AuditStore
from workers.store.engine import Store, open_store

Ion = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a database in which people wait and the copy in eu is behind."""
    file = tmp_path_factory.mktemp("alerts") / "ion.db"
    with open_store(f"sqlite:///{file}") as store:
        fleet = PlantedFleet(store)
        fleet.now_s = time.time() // 60 * 60 - 1_800  # commands look at the clock
        fleet.live(2)
        fleet.live(4, replace(WELL, response_ms=900, lag_ms=900))
    return file.read_bytes()


@pytest.fixture
def url(tmp_path: Path, spoilt: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of it, which the settings name."""
    file = tmp_path / "ion.db"
    file.write_bytes(spoilt)
    monkeypatch.setenv("ION_DATABASE_URL", f"sqlite:///{file}")
    monkeypatch.setenv("COLUMNS", "140")
    return f"sqlite:///{file}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as made:
        yield made


@pytest.fixture
def ion(capfd: pytest.CaptureFixture[str]) -> Ion:
    def call(*words: str) -> tuple[int, str, str]:
        code = run(new_app(), Collaborators(ConfiguredFleet()), ["alerts", *words])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def listed(ion: Ion, *words: str) -> list[dict[str, Any]]:
    code, out, _ = ion(*words, "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)["alerts"]
    return found


@pytest.mark.usefixtures("url")
def test_what_is_wrong_is_listed_the_gravest_first(ion: Ion) -> None:
    alerts = listed(ion, "list")
    assert [alert["rule"] for alert in alerts] == [
        "response_time_critical",
        "database_lag",
        "response_time_high",
    ]
    first = alerts[0]
    assert (first["state"], first["unit"], first["threshold"]) == ("firing", "ms", 200.0)
    assert first["value"] == pytest.approx(900, rel=0.01)
    assert first["told"] == first["fired"]
    assert alerts[2]["inhibited_by"] == "response_time_critical"
    assert [alert["rule"] for alert in listed(ion, "list", "--level", "high", "--rule", "database_lag")] == [
        "database_lag"
    ]


@pytest.mark.usefixtures("url")
def test_people_get_a_table_and_are_told_when_nobody_judges_any_more(ion: Ion) -> None:
    code, out, err = ion("list")
    assert code == 0
    assert "response_time_critical" in out
    assert "inhibited" in out
    assert "last judged" in err


@pytest.mark.usefixtures("url")
def test_all_of_one_alert_is_shown_by_the_beginning_of_its_id(ion: Ion) -> None:
    alert_id = listed(ion, "list")[0]["id"]
    code, out, _ = ion("show", alert_id[:6])
    assert code == 0
    for said in (alert_id, "above 200 ms", "docs/operating.md#response_time_critical", "region eu"):
        assert said in out
    code, out, _ = ion("show", alert_id[:6], "--json")
    assert json.loads(out)["id"] == alert_id


@pytest.mark.usefixtures("url")
def test_an_id_of_no_alert_is_a_mistake_of_the_user(ion: Ion) -> None:
    code, out, err = ion("show", "nonsense", "--json")
    assert (code, json.loads(out)["error"]["field"]) == (2, "ID")
    assert "ion alerts list" in err


def test_whoever_takes_an_alert_on_is_noted(ion: Ion, store: Store) -> None:
    first, second, _ = listed(ion, "list")
    code, out, _ = ion("ack", first["id"], second["id"][:8])
    assert code == 0
    assert out.count("acknowledged by") == 2
    states = {alert["rule"]: alert["state"] for alert in listed(ion, "list")}
    assert states == {
        "response_time_critical": "acknowledged",
        "database_lag": "acknowledged",
        "response_time_high": "firing",
    }
    entries = AuditStore(store).find(0, 10)
    assert [entry.action for entry in entries] == ["alerts.ack", "alerts.ack"]
    assert {entry.target for entry in entries} == {
        f"{first['id']} response_time_critical",
        f"{second['id']} database_lag",
    }
    assert ion("ack")[0] == 2
    assert len(listed(ion, "ack", "--all")) == 3


def test_a_silence_is_made_listed_and_lifted(ion: Ion, store: Store) -> None:
    code, out, _ = ion(
        "silence", "--label", "region=eu", "--level", "high", "--for", "2h", "--why", "new disks", "--json"
    )
    made = json.loads(out)
    assert (code, made["labels"], made["level"], made["holds"]) == (0, {"region": "eu"}, "high", True)
    code, out, _ = ion("silences")
    assert made["id"] in out
    assert "new disks" in out
    assert ion("unsilence", made["id"][:4])[0] == 0
    assert json.loads(ion("silences", "--json")[1]) == {"silences": []}
    (past,) = json.loads(ion("silences", "--all", "--json")[1])["silences"]
    assert past["ended"] is not None
    actions = [entry.action for entry in AuditStore(store).find(0, 10)]
    assert actions == ["alerts.unsilence", "alerts.silence"]


WRONG = {
    "nothing-to-silence": (("silence", "--for", "2h", "--why", "x"), "--all"),
    "both": (("silence", "--all", "--level", "low", "--for", "2h", "--why", "x"), "--all"),
    "no-such-rule": (("silence", "--rule", "x", "--for", "2h", "--why", "x"), "--rule"),
    "no-time": (("silence", "--all", "--for", "soon", "--why", "x"), "--for"),
    "for-ever": (("silence", "--all", "--for", "900d", "--why", "x"), "--for"),
    "no-reason": (("silence", "--all", "--for", "1h", "--why", " "), "--why"),
    "no-label": (("silence", "--label", "eu", "--for", "1h", "--why", "x"), "--label"),
    "no-silence": (("unsilence", "abc"), "ID"),
    "no-age": (("history", "--newer-than", "long"), "--newer-than"),
    "ack-all-and-one": (("ack", "abc", "--all"), "ID"),
    "unset-channel": (("test", "--channel", "slack"), "--channel"),
}


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize(("words", "field"), WRONG.values(), ids=WRONG)
def test_mistakes_are_named(ion: Ion, words: tuple[str, ...], field: str) -> None:
    code, out, _ = ion(*words, "--json")
    assert (code, json.loads(out)["error"]["field"]) == (2, field)


@pytest.mark.usefixtures("url")
def test_the_history_has_what_began_lately(ion: Ion) -> None:
    assert listed(ion, "history", "--newer-than", "1m") == []
    assert {alert["rule"] for alert in listed(ion, "history", "--limit", "2")} < {
        "response_time_critical",
        "database_lag",
        "response_time_high",
    }
    assert [alert["rule"] for alert in listed(ion, "history", "--rule", "database_lag")] == ["database_lag"]
    assert listed(ion, "history", "--level", "low") == []


def test_rules_need_no_database(ion: Ion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ION_DATABASE_URL", raising=False)
    code, out, _ = ion("rules", "--json")
    rules = json.loads(out)["rules"]
    assert (code, len([rule for rule in rules if not rule["extra"]])) == (0, 9)
    code, out, _ = ion("rules", "--all")
    assert "queue_growing (off)" in out
    own = tmp_path / "own.toml"
    own.write_text("[rules.cpu_utilization]\ntreshold = 90\n")
    monkeypatch.setenv("ION_ALERT_RULES", str(own))
    code, _, err = ion("rules")
    assert code == 2
    assert "own.toml, rule cpu_utilization, treshold" in err


def test_without_a_database_the_commands_say_what_to_do(
    ion: Ion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ION_DATABASE_URL", raising=False)
    code, _, err = ion("list")
    assert code == 3
    assert "ion up" in err


def test_a_test_notice_says_what_became_of_it(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = ion("test", "--json")
    assert code == 0
    assert [(one["channel"], one["state"]) for one in json.loads(out)["channels"]] == [("log", "sent")]
    monkeypatch.setenv("ION_ALERT_SLACK_WEBHOOK_URL", "http://127.0.0.1:1/services/secret")
    code, out, err = ion("test", "--channel", "slack")
    assert code == 3
    assert "slack did not take it" in out
    assert "secret" not in out + err
