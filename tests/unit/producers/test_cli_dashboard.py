"""``ion dashboard`` in process, over a seeded database and no fleet."""

import json
import time
from pathlib import Path

import pytest

from producers.cli import dashboard
from producers.cli.app import new_app, run
from producers.cli.collaborators import Collaborators, ConfiguredFleet
from tests.support.seeded_database import seed
from workers.monitoring.dashboards.ahead import WINDOWS_S
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.store.engine import open_store
from workers.store.errors import StoreUnavailable

OK, USAGE, UNAVAILABLE = 0, 2, 3


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seed(tmp_path_factory.mktemp("seeded") / "ion.db", time.time(), hours=1)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ION_BROKER_URL", "ION_DATABASE_URL", "ION_SECRETS_DIR", "ION_ALERT_RULES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ION_STATE_DIR", str(tmp_path / "ion"))
    monkeypatch.setenv("COLUMNS", "120")


def ion(*words: str) -> int:
    return run(new_app(), Collaborators(ConfiguredFleet()), words)


def test_the_names_in_the_help_are_those_of_the_dashboards() -> None:
    assert list(dashboard.NAMES) == list(DASHBOARDS)
    assert [window.value for window in dashboard.Window] == list(WINDOWS_S)


@pytest.mark.parametrize(
    ("how", "begins"),
    [
        ("text", "Overview  Is all well"),
        ("json", '{\n  "dashboard": "overview"'),
        ("html", "<!doctype html>"),
        ("md", "# Overview\n"),
    ],
)
def test_a_dashboard_in_each_format(
    how: str,
    begins: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setenv("ION_DATABASE_URL", database)
    assert ion("dashboard", "overview", "--format", how) == OK
    out = capfdbinary.readouterr().out.decode()
    assert out.startswith(begins)
    assert "no data" not in out.split("Response time")[0]


def test_json_has_its_short_way(
    database: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("ION_DATABASE_URL", database)
    assert ion("dashboard", "cache", "--window", "24h", "--json") == OK
    told = json.loads(capfdbinary.readouterr().out)
    assert (told["dashboard"], told["window_s"]) == ("cache", 86_400)
    assert ion("dashboard", "list", "--json") == OK
    listed = json.loads(capfdbinary.readouterr().out)
    assert [one["name"] for one in listed["dashboards"]] == list(DASHBOARDS)


def test_without_a_database_it_says_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert ion("dashboard", "overview") == UNAVAILABLE
    err = capsys.readouterr().err
    assert "there is none at" in err
    assert "ion up" in err
    assert not (tmp_path / "ion").exists()


def test_before_anything_is_measured_it_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is is printed all the same."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with open_store(url) as store, store.reading():
        pass
    monkeypatch.setenv("ION_DATABASE_URL", url)
    assert ion("dashboard", "overview", "--window", "6h") == UNAVAILABLE
    said = capsys.readouterr()
    assert "no data" in said.out
    assert "nothing has been measured in the last 6h" in said.err


def test_watching_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    assert ion("dashboard", "overview", "--watch", "--format", "md") == USAGE
    assert "--watch and --format md exclude each other" in capsys.readouterr().err


def test_watching_goes_on_while_the_database_is_away(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second look fails, the third is well, then somebody stops it."""
    from producers.dashboards import Dashboards  # noqa: PLC0415
    from workers.monitoring.dashboards.model import Dashboard  # noqa: PLC0415

    built = Dashboards.built
    looks: list[str] = []

    def sometimes(self: Dashboards, name: str, window_s: int) -> Dashboard:
        looks.append(name)
        if len(looks) == 2:
            raise StoreUnavailable("the database", "it is locked", "")
        return built(self, name, window_s)

    monkeypatch.setenv("ION_DATABASE_URL", database)
    monkeypatch.setattr(Dashboards, "built", sometimes)
    monkeypatch.setattr("producers.cli.interruption.Interruption.wait", lambda _, __: len(looks) >= 3)
    assert ion("dashboard", "reliability", "--watch") == OK
    assert looks == ["reliability"] * 3
    assert "Reliability" in capsys.readouterr().out


def test_files_for_grafana(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "deep" / "grafana"
    assert ion("dashboard", "export", "grafana", "-o", str(target)) == OK
    assert sorted(file.name for file in target.iterdir()) == sorted(f"ion-{name}.json" for name in DASHBOARDS)
    assert str(target / "ion-cache.json") in capsys.readouterr().out
    file = tmp_path / "file"
    file.touch()
    assert ion("dashboard", "export", "grafana", "-o", str(file / "below")) == USAGE
    assert "--output cannot be written to" in capsys.readouterr().err


def test_a_wrong_file_of_rules_leaves_ours(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "rules.toml"
    wrong.write_text("[rules.x\n", encoding="utf-8")
    monkeypatch.setenv("ION_ALERT_RULES", str(wrong))
    monkeypatch.setenv("ION_DATABASE_URL", database)
    assert ion("dashboard", "overview", "--format", "md") == OK
    assert "critical above 200 ms" in capsys.readouterr().out.replace("\\", "").lower()
