"""A missing program is said aloud, and is no excuse where it was promised."""

from pathlib import Path

import pytest

from tests.support import tools


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(tools.REQUIRED, raising=False)


@pytest.mark.usefixtures("_bare")
def test_a_missing_program_skips_and_says_what_to_install() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"NO PROMTOOL .* apt-get .* prometheus$"):
        tools.needs("promtool")


@pytest.mark.usefixtures("_bare")
def test_a_promised_program_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tools.REQUIRED, "1")

    with pytest.raises(pytest.fail.Exception, match="NO CHROMIUM"):
        tools.needs("chromium")


def test_a_program_that_is_there_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "amtool"
    program.touch(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert tools.needs("amtool") == str(program)
