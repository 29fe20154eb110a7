"""Who may look at Flower, and what it keeps for that."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from infra.flower.keeping import Keeping
from infra.flower.settings import FlowerSettings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound to it


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FlowerSettings.model_fields:
        monkeypatch.delenv(f"ION_FLOWER_{name.upper()}", raising=False)


def test_as_it_ships_it_is_for_this_machine_and_for_looking_only() -> None:
    settings = FlowerSettings()
    assert (settings.url, settings.read_only, settings.users) == ("http://127.0.0.1:5555", True, "ion")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"host": ""}, "host"),
        ({"host": "flower.example"}, "host"),
        ({"basic_auth": "ion"}, "user:password"),
        ({"basic_auth": "ion:"}, "user:password"),
        ({"basic_auth": "a:b,:c"}, "user:password"),
        ({"basic_auth": ""}, "user:password"),
        ({"dashboards_url": "javascript:alert(1)"}, "http://"),
        ({"read_only": False, "host": EVERYWHERE}, "loopback"),
        ({"max_tasks": 1_000_000}, "100000"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_would_open_it_up_is_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        FlowerSettings.model_validate(given)


def test_it_may_act_where_only_this_machine_reaches_it() -> None:
    assert not FlowerSettings(read_only=False).read_only


def test_its_users_are_named_and_their_passwords_are_not() -> None:
    settings = FlowerSettings(basic_auth=SecretStr("ann:hunter2,bob:hunter3:x"))

    assert settings.users == "ann, bob"
    assert "hunter" not in repr(settings)
    assert settings.basic_auth is not None
    with pytest.raises(ValidationError) as caught:
        FlowerSettings.model_validate({"basic_auth": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_password_is_made_once_and_only_we_can_read_it(tmp_path: Path) -> None:
    kept = Keeping.of(tmp_path)
    first = kept.logins(FlowerSettings())

    assert first == Keeping.of(tmp_path).logins(FlowerSettings())
    assert len(first[0]) >= len("ion:") + 16
    assert stat.S_IMODE(kept.password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.directory.stat().st_mode) == 0o700
    assert [file.name for file in kept.directory.iterdir()] == ["password"]


def test_another_stack_has_another_password(tmp_path: Path) -> None:
    one, other = Keeping.of(tmp_path / "one"), Keeping.of(tmp_path / "other")
    assert one.logins(FlowerSettings()) != other.logins(FlowerSettings())


def test_what_is_given_is_used_and_nothing_is_made(tmp_path: Path) -> None:
    settings = FlowerSettings(basic_auth=SecretStr("a:b,c:d"), cookie_secret=SecretStr("signs"))
    kept = Keeping.of(tmp_path)

    assert kept.logins(settings) == ["a:b", "c:d"]
    assert kept.cookie_secret(settings) == "signs"
    assert list(kept.directory.iterdir()) == []


def test_a_restart_logs_nobody_out(tmp_path: Path) -> None:
    kept = Keeping.of(tmp_path)
    assert kept.cookie_secret(FlowerSettings()) == kept.cookie_secret(FlowerSettings())
    assert kept.cookie_secret(FlowerSettings()) != kept.logins(FlowerSettings())[0].partition(":")[2]
