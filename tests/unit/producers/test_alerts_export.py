"""``ion alerts export``: files for Prometheus and Alertmanager, from our rules and one's own."""

import json
from pathlib import Path

import pytest
import typer

from producers.cli.alerts_export import EXPORT_EXAMPLES, export
from producers.cli.app import add, run
from producers.cli.collaborators import Collaborators, ConfiguredFleet
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.export.alertmanager import Receivers
from workers.monitoring.export.files import alertmanager_file, prometheus_file
from workers.monitoring.export.prometheus_rules import Options


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RULES", "SMTP_HOST", "SMTP_TO", "RUNBOOKS_URL", "SLACK_ONCALL"):
        monkeypatch.delenv(f"ION_ALERT_{name}", raising=False)


def ion(*words: str) -> int:
    """Run ``ion export`` of a program with that one command, and return its exit code."""
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    add(app, "export", export, "", EXPORT_EXAMPLES)
    return run(app, Collaborators(ConfiguredFleet()), ("export", *words))


def test_each_file_is_what_the_rules_make_of_it(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    rules = load_rules().values()

    assert ion("prometheus") == 0
    assert capsysbinary.readouterr().out.decode() == prometheus_file(rules, Options()).text
    assert ion("alertmanager") == 0
    assert capsysbinary.readouterr().out.decode() == alertmanager_file(rules, Receivers()).text


def test_a_file_is_written_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ion.rules.yml"

    assert ion("prometheus", "-o", str(file)) == 0
    assert file.read_text("utf-8").startswith("# The alert rules for Prometheus")
    assert capsys.readouterr() == ("", f"wrote {file}\n")


def test_programs_get_json(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert ion("prometheus", "--faster", "60", "--json") == 0
    groups = json.loads(capsysbinary.readouterr().out)["groups"]

    assert {group["interval"] for group in groups} == {"1s", "333ms"}


def test_settings_say_whom_alertmanager_tells(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("ION_ALERT_SMTP_HOST", "mail.example")
    monkeypatch.setenv("ION_ALERT_SMTP_TO", "ops@example.com,night@example.com")
    monkeypatch.setenv("ION_ALERT_SLACK_ONCALL", "<!subteam^S0123>")
    monkeypatch.setenv("ION_ALERT_SLACK_WEBHOOK_URL", "https://hooks.slack.example/secret")

    assert ion("alertmanager") == 0
    text = capsysbinary.readouterr().out.decode()
    for known in ("'mail.example:587'", "'ops@example.com, night@example.com'", "<!subteam^S0123>"):
        assert known in text
    assert "secret" not in text.replace("secrets", "").replace("Secrets", "")


def test_rules_of_ones_own_are_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    own = tmp_path / "rules.toml"
    own.write_text("[rules.cpu_utilization]\nthreshold = 65\n", encoding="utf-8")

    assert ion("prometheus", "--rules", str(own)) == 0
    assert b"region:ion_cpu_utilization:avg_5m > 65" in capsysbinary.readouterr().out
    monkeypatch.setenv("ION_ALERT_RULES", str(own))
    assert ion("prometheus") == 0
    assert b"region:ion_cpu_utilization:avg_5m > 65" in capsysbinary.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("grafana",), "grafana"),
        (("prometheus", "-o", "/nowhere/at/all.yml"), "--output cannot be written"),
        (("prometheus", "--faster", "0"), "faster"),
    ],
    ids=["file", "output", "faster"],
)
def test_what_cannot_be_is_told(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ion(*words) == 2
    assert said in capsys.readouterr().err
