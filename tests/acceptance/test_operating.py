"""The handbook for operators: each alert has its section, and what it says to type and to set is there."""

import contextlib
import io
import re
from functools import cache
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from infra import cli
from infra.fleet import LocalFleet
from infra.flower.settings import FlowerSettings
from infra.local.settings import LocalSettings
from producers.cli.app import run
from producers.cli.collaborators import Collaborators
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings
from workers.contract.settings import DIRECTORY
from workers.monitoring.alerts.deadman import RULE as EVALUATION_STOPPED
from workers.monitoring.alerts.rules import all_rules
from workers.monitoring.alerts.settings import AlertSettings
from workers.monitoring.notices.settings import ChannelSettings
from workers.settings import WorkerSettings

HANDBOOK = Path(__file__).parents[2] / "docs" / "operating.md"
TEXT = HANDBOOK.read_text(encoding="utf-8")
RULES = [*all_rules(), EVALUATION_STOPPED]
ALL_SETTINGS: tuple[type[BaseSettings], ...] = (
    *(ClientSettings, GatewaySettings, FlowerSettings, LocalSettings),
    *(WorkerSettings, AlertSettings, ChannelSettings),
)
_CODE = re.compile(r"^```(?:sh|console)\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^ion ((?:[a-z][a-z-]*(?: |$))+)(.*)")


def sections(text: str) -> dict[str, str]:
    """Return what stands below each heading, by its anchor."""
    _, *parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {anchor(title): body for title, body in zip(parts[::2], parts[1::2], strict=True)}


def anchor(title: str) -> str:
    """Return the anchor that readers of Markdown give to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def commands() -> list[tuple[str, ...]]:
    """Return the commands that the handbook has people type, each as its words and options."""
    found = set()
    for block, inline in _CODE.findall(TEXT):
        for line in (block or inline).splitlines():
            typed = _COMMAND.match(line.split(" #")[0])
            if typed:
                words = [word for word in typed.group(1).split() if not word.startswith("--")]
                options = re.findall(r"--[a-z-]+", line)
                found.add((*words, *sorted(set(options) - {"--help"})))
    return sorted(found)


@pytest.mark.parametrize("rule", RULES)
def test_each_alert_has_a_section_that_says_what_to_do(rule: str) -> None:
    section = sections(TEXT)[anchor(rule)]

    assert "**Means**" in section
    assert "**Escalate**" in section
    assert re.search(r"ion |`ps |psql |\]\(#", section), "a first look"


def test_no_section_is_about_a_rule_that_is_gone() -> None:
    told = TEXT.split("## What to do about each alert")[1].split("\n## ")[0]
    assert set(re.findall(r"^### (.+)$", told, re.MULTILINE)) == set(RULES)


def test_it_has_people_type_a_good_many_commands() -> None:
    assert len(commands()) > 35


@cache
def help_of(words: tuple[str, ...]) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(cli.build(), Collaborators(LocalFleet()), [*words, "--help"])
    return code, out.getvalue()


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_each_command_is_there_with_its_options(command: tuple[str, ...]) -> None:
    words = tuple(word for word in command if not word.startswith("--"))
    code, told = help_of(words)

    assert code == 0, command
    assert told.startswith(f"Usage: ion {' '.join(words)} ")
    for option in command[len(words) :]:
        assert option in told, option


def test_each_setting_is_there() -> None:
    known = {
        f"{settings.model_config.get('env_prefix', '')}{name}".upper()
        for settings in ALL_SETTINGS
        for name in settings.model_fields
    }
    assert set(re.findall(r"\bION_[A-Z_]+[A-Z]\b", TEXT)) - known == {DIRECTORY}


def test_the_runbooks_of_prometheus_alerts_are_here() -> None:
    exported = HANDBOOK.parents[1] / "infra" / "prometheus" / "ion.rules.yml"
    linked = re.findall(r"docs/operating\.md#([\w-]+)", exported.read_text(encoding="utf-8"))

    assert len(linked) > len(RULES) / 2
    assert set(linked) <= set(sections(TEXT))


def test_each_link_to_a_section_leads_there() -> None:
    for page, target in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", TEXT):
        there = HANDBOOK.parent / page if page else HANDBOOK
        assert target in sections(there.read_text(encoding="utf-8")), f"{page}#{target}"
