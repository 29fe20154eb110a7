"""``ion keys`` and ``ion audit`` in process, over a database of their own and no fleet."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.cli.app import new_app, run
from producers.cli.collaborators import Collaborators, ConfiguredFleet
from workers.store.api_keys import ApiKeyStore, digest_of, split_key
from workers.store.audit import AuditStore, Entry
from workers.store.engine import open_store

DAY_MS = 86_400_000
USAGE, UNAVAILABLE = 2, 3


class Ion:
    """Runs command lines and gives exit code, stdout and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        self._capsys, self.file = capsys, file

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = run(new_app(), Collaborators(ConfiguredFleet()), words)
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: str) -> Any:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    def refused(self, *words: str, code: int = USAGE) -> str:
        said, out, err = self(*words)
        assert (said, out) == (code, "")
        return err


@pytest.fixture
def ion(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ion:
    for name in ("ION_BROKER_URL", "ION_DATABASE_URL", "ION_SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ION_STATE_DIR", str(tmp_path / "ion"))
    monkeypatch.setenv("COLUMNS", "140")
    return Ion(capsys, tmp_path / "ion" / "ion.db")


def test_a_key_is_shown_once_and_alone_on_standard_output(ion: Ion) -> None:
    """So that a script can take it: KEY=$(ion keys create ...)."""
    code, out, err = ion("keys", "create", "shop", "--role", "service")
    assert code == 0
    parts = split_key(out.removesuffix("\n"))
    assert parts is not None
    key_id, secret = parts
    assert err == f"key {key_id}, good until it is revoked; it is shown this once, so keep it now\n"
    with open_store(f"sqlite:///{ion.file}") as store:
        (kept,) = ApiKeyStore(store).all()
    assert (kept.id, kept.digest, kept.role, kept.subject) == (key_id, digest_of(secret), "service", key_id)
    assert secret not in ion("keys", "list")[1]
    assert secret not in json.dumps(ion.json("keys", "list"))


def test_a_users_key_acts_for_that_user_for_as_long_as_was_said(ion: Ion) -> None:
    made = ion.json("keys", "create", "Mina's phone", "--role", "user", "--user", "mina", "--expires", "90d")
    assert (made["role"], made["subject"], made["state"]) == ("user", "mina", "good")
    assert made["key"].startswith(f"ion_{made['id']}_")
    with open_store(f"sqlite:///{ion.file}") as store:
        (kept,) = ApiKeyStore(store).all()
    assert kept.expires_ms == kept.created_ms + 90 * DAY_MS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "--role", "user"), "--user is missing"),
        (("x", "--role", "admin", "--user", "mina"), "--user goes with --role user, not with admin"),
        (("x", "--role", "user", "--user", " "), "--user is no user_id"),
        (("x", "--role", "user", "--user", "x" * 129), "--user is no user_id"),
        (("x", "--role", "user", "--user", "a\nb"), "--user is no user_id"),
        (("", "--role", "admin"), "NAME is no name"),
        (("x", "--role", "root"), "'root' is not one of"),
        (("x",), "issing option '--role'"),
        (("x", "--role", "admin", "--expires", "soon"), "--expires is no age"),
        (("x", "--role", "admin", "--expires", "0d"), "--expires is no time to come"),
        (("x", "--role", "admin", "--expires", "999999w"), "--expires is no time to come"),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else value[:32],
)
def test_what_makes_no_sense_makes_no_key(ion: Ion, words: tuple[str, ...], said: str) -> None:
    assert said in ion.refused("keys", "create", *words)
    assert not ion.file.exists()


def test_a_list_says_what_each_key_is_good_for(ion: Ion) -> None:
    ion("keys", "create", "shop", "--role", "service")
    ion("keys", "create", "phone", "--role", "user", "--user", "사용자")
    out = ion("keys", "list")[1]
    assert re.search(r"phone +user +사용자 +good +never", out)
    assert re.search(r"shop +service +itself +good +never", out)


def test_a_revoked_key_stays_in_the_list(ion: Ion) -> None:
    made = ion.json("keys", "create", "shop", "--role", "service")
    assert ion("keys", "revoke", made["id"])[:2] == (0, f"{made['id']} is revoked\n")
    first = ion.json("keys", "list")["keys"][0]
    assert first["state"] == "revoked"
    assert ion.json("keys", "revoke", made["id"])["revoked"] == first["revoked"]


def test_a_key_is_revoked_by_its_whole_id_and_by_nothing_else(ion: Ion) -> None:
    made = ion.json("keys", "create", "shop", "--role", "service")
    assert "ID is that of no key" in ion.refused("keys", "revoke", made["id"][:-1])
    said = ion.refused("keys", "revoke", made["key"])
    assert "ID is a whole key; give its middle part only" in said
    assert made["key"] not in said
    assert ion.json("keys", "list")["keys"][0]["state"] == "good"


def test_without_a_database_there_is_nothing_to_list(ion: Ion) -> None:
    assert "there is none at" in ion.refused("keys", "list", code=UNAVAILABLE)
    assert not ion.file.exists()


# -- the audit log ----------------------------------------------------------------------------------


def test_what_is_done_with_keys_is_recorded(ion: Ion) -> None:
    shop = ion.json("keys", "create", "shop", "--role", "service")["id"]
    phone = ion.json("keys", "create", "phone", "--role", "user", "--user", "mina")["id"]
    ion("keys", "revoke", shop)
    entries = ion.json("audit")["entries"]
    assert [(entry["action"], entry["target"]) for entry in entries] == [
        ("keys.revoke", shop),
        ("keys.create", f"{phone} user mina"),
        ("keys.create", f"{shop} service"),
    ]
    assert {(entry["role"], entry["proof"], entry["allowed"]) for entry in entries} == {
        ("operator", "shell", True)
    }
    assert all(entry["subject"] and entry["address"] for entry in entries)


def test_a_key_that_cannot_be_recorded_is_not_made(ion: Ion) -> None:
    first = ion.json("keys", "create", "shop", "--role", "service")["id"]
    with contextlib.closing(sqlite3.connect(ion.file)) as connection:
        connection.execute("DROP TABLE audit_log")
    assert ion("keys", "create", "other", "--role", "service")[:2] == (1, "")
    assert [key["id"] for key in ion.json("keys", "list")["keys"]] == [first]


def entry(at_ms: int, **given: Any) -> Entry:
    fields = {"subject": "mina", "role": "user", "proof": "key", "action": "job.read", **given}
    return Entry(at_ms=at_ms, **fields)


@pytest.fixture
def log(ion: Ion) -> Iterator[AuditStore]:
    with open_store(f"sqlite:///{ion.file}") as store:
        yield AuditStore(store)


def ago(ms: int) -> int:
    from producers.cli.operator import now_ms  # noqa: PLC0415

    return now_ms() - ms


def test_the_log_shows_the_last_day_unless_more_is_asked_for(ion: Ion, log: AuditStore) -> None:
    log.append(entry(ago(2 * DAY_MS), target="older"))
    log.append(entry(ago(1_000), target="newer", allowed=False))
    assert [found["target"] for found in ion.json("audit")["entries"]] == ["newer"]
    assert [found["target"] for found in ion.json("audit", "--since", "7d")["entries"]] == ["newer", "older"]
    assert ion.json("audit", "--since", "7d", "--limit", "1")["total"] == 2
    shown = ion("audit", "--since", "7d", "--limit", "1")[1]
    assert re.search(r"mina \(user\) +job\.read +newer +refused", shown)
    assert "... and 1 more; see --limit" in shown


def test_what_an_attacker_sent_cannot_command_the_terminal(ion: Ion, log: AuditStore) -> None:
    log.append(entry(ago(1_000), target="\x1b[2Jgone [bold]x[/]"))
    assert "\N{REPLACEMENT CHARACTER}[2Jgone [bold]x[/]" in ion("audit")[1]


def test_old_entries_are_purged_and_that_is_an_entry(ion: Ion, log: AuditStore) -> None:
    log.append(entry(ago(401 * DAY_MS)))
    log.append(entry(ago(399 * DAY_MS), target="stays"))
    assert ion("audit", "purge", "--older-than", "400d")[:2] == (0, "1 deleted\n")
    entries = ion.json("audit", "--since", "1000d")["entries"]
    assert [(found["action"], found["target"]) for found in entries] == [
        ("audit.purge", "older than 400d"),
        ("job.read", "stays"),
    ]


def test_a_wrong_age_is_refused(ion: Ion, log: AuditStore) -> None:
    log.append(entry(ago(1_000)))
    assert "--since is no age" in ion.refused("audit", "--since", "yesterday")
    assert "--older-than is no age" in ion.refused("audit", "purge", "--older-than", "x")
    assert "--older-than" in ion.refused("audit", "purge")
