"""What the structure promises, checked on the code itself."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.app.defaults import NAMESPACES, flatten

import celeryconfig
from workers.contract import names

ROOT = Path(__file__).parents[2]
PACKAGES = ("persona_system", "workers", "producers", "infra")
SETTINGS = {"settings.py", "baseline.py"}  # modules that may read the environment, as pydantic settings
LONGEST_FILE = 400  # lines


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_layers_import_downwards_only() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def test_the_top_level_is_the_agreed_one() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 - whichever git made this checkout
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    if tracked == [""]:
        pytest.skip("not a git checkout")
    top = {path.partition("/")[0] for path in tracked if path}
    assert top == {
        *("persona_system", "workers", "producers", "infra", "tests", "docs", ".ci", ".github"),
        *("celeryconfig.py", "pyproject.toml", "requirements.lock", "Makefile"),
        *("README.md", "CHANGELOG.md", "LICENSE", ".gitignore", ".pre-commit-config.yaml"),
    }


@pytest.mark.parametrize("path", list(sources()), ids=relative)
def test_a_file_fits_in_a_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", list(sources()), ids=relative)
def test_nothing_but_settings_reads_the_environment(path: Path) -> None:
    """``{**os.environ}`` for a child process, in local/settings.py, is the only other use."""
    if path.name in SETTINGS:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in {"environ", "getenv", "putenv"}, f"{relative(path)}:{node.lineno}"


def test_every_celery_setting_exists() -> None:
    """Celery itself passes over a misspelt setting without a word."""
    known = {name for name, _ in flatten(NAMESPACES)}
    ours = {
        name
        for name, value in vars(celeryconfig).items()
        if name.islower() and not name.startswith("_") and not callable(value) and not inspect.ismodule(value)
    }

    assert "task_acks_late" in ours
    assert ours <= known
    for url in ("redis://x", "amqp://x"):
        assert set(celeryconfig.broker_settings(url)) <= known


def test_every_setting_says_why() -> None:
    """A setting's line, or the comment above its block, gives the reason."""
    text = (ROOT / "celeryconfig.py").read_text(encoding="utf-8")
    assert text.count("#") > len([name for name in vars(celeryconfig) if name.islower()]) / 2


def test_queues_are_declared_and_none_is_made_by_a_typo() -> None:
    assert {queue.name for queue in celeryconfig.task_queues} == set(names.QUEUES)
    assert celeryconfig.task_create_missing_queues is False


def test_nothing_that_executes_code_is_accepted() -> None:
    assert set(celeryconfig.accept_content) == {"json", "msgpack"}
    assert set(celeryconfig.result_accept_content) == {"json", "msgpack"}


def test_importing_producers_loads_neither_tasks_nor_celery() -> None:
    """Embedding a client in a web app must not cost what the client does not use yet."""
    script = (
        "import producers, sys\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "tasks = [name for name in sys.modules if name.startswith(('workers.tasks', 'workers.app'))]\n"
        "print(sorted(loaded & {'celery', 'kombu', 'redis', 'pydantic', 'sqlalchemy', 'alembic'}), tasks)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[] []"
