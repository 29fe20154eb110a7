"""The alert rules: data in TOML, checked when it is read.

``rules.toml`` beside this holds the nine rules and what a queue needs besides.  A file of one's own changes
fields of these, switches them off and adds others.

Units:   thresholds in the unit of the rule's collection; seconds where a name ends in ``_s``.
Errors:  InvalidRules, which names the file, the rule, the field and the fix.
Source:  facts of the system, section 8, for the nine.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from persona_system.catalogue_files import parse_toml
from persona_system.errors import InvalidCatalogue
from workers.monitoring.alerts.errors import InvalidRules
from workers.monitoring.alerts.rule import Rule, Rules
from workers.monitoring.alerts.rule_checks import problem_of

OURS = Path(__file__).with_name("rules.toml")
MOST_RULES = 200
_SECTIONS = ("rules", "extra")
_FIELD = re.compile(r"`\$\.(?P<path>[^`]+)`|field `(?P<field>[^`]+)`")


def load_rules(own: Path | None = None) -> Rules:
    """Return the rules that are switched on: ours, changed by the file *own*; raise InvalidRules."""
    return {name: rule for name, rule in all_rules(own).items() if rule.enabled}


def all_rules(own: Path | None = None) -> Rules:
    """Return the rules, those that are switched off among them; raise InvalidRules."""
    defaults, tables = _tables(_read(OURS), OURS.name)
    source = OURS.name
    if own is not None:
        source = str(own)
        changed_defaults, changes = _tables(_read(own), source)
        defaults = {**defaults, **changed_defaults}
        for name, change in changes.items():
            known = tables.get(name, {})
            tables[name] = {**known, **change, "extra": bool(known.get("extra", change["extra"]))}
    if len(tables) > MOST_RULES:
        raise InvalidRules(source, "", "", f"holds {len(tables)} rules", f"keep at most {MOST_RULES}")
    return {name: _rule(name, {**defaults, **table}, source) for name, table in tables.items()}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        fix = "correct ION_ALERT_RULES, or make the file readable"
        raise InvalidRules(str(file), "", "", f"cannot be read ({error.strerror})", fix) from None
    except UnicodeDecodeError:
        raise InvalidRules(str(file), "", "", "is not UTF-8 text", "save it as UTF-8") from None


def _tables(text: str, source: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the defaults and, by name, what the file says of each rule."""
    try:
        document = parse_toml(text, source)
    except InvalidCatalogue as error:
        raise InvalidRules(source, "", "", error.problem, "correct the line") from None
    defaults = document.pop("defaults", {})
    if not isinstance(defaults, dict):
        raise InvalidRules(source, "", "defaults", "is no table", "write [defaults]")
    tables: dict[str, dict[str, Any]] = {}
    for section, rules in document.items():
        if section not in _SECTIONS or not isinstance(rules, dict):
            fix = "write [defaults], [rules.a_name] or [extra.a_name]"
            raise InvalidRules(source, "", section, "is no section of a rules file", fix)
        for name, table in rules.items():
            if not isinstance(table, dict):
                raise InvalidRules(source, name, "", "is no table", f"write [{section}.{name}]")
            if name in tables:
                raise InvalidRules(source, name, "", "stands in both sections", "keep one of the two")
            if reserved := {"name", "extra"} & table.keys():
                raise InvalidRules(source, name, min(reserved), "is not set so", "leave it out")
            tables[name] = {**table, "extra": section == "extra"}
    return defaults, tables


def _rule(name: str, table: dict[str, Any], source: str) -> Rule:
    given = dict(table)
    if isinstance(given.get("detection"), str):
        given["detection"] = {"kind": given["detection"]}
    try:
        rule = msgspec.convert({**given, "name": name}, Rule)
    except msgspec.ValidationError as error:
        field, problem = _told(str(error))
        raise InvalidRules(source, name, field, problem, "docs/alerts.md lists the fields") from None
    problem_found = problem_of(rule)
    if problem_found is not None:
        raise InvalidRules(source, name, *problem_found)
    return rule


def _told(message: str) -> tuple[str, str]:
    """Return which field msgspec complains about, and what it says."""
    found = _FIELD.search(message)
    if found is None:
        return "", message
    return found["path"] or found["field"], message.partition(" - at ")[0]
