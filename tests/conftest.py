"""Fixtures that several kinds of tests share: one real stack for all tests that only use it."""

from collections.abc import Iterator

import pytest

from infra.local.stack import LocalStack
from producers import PersonaClient
from producers.settings import ClientSettings
from tests.support.stack import client_settings_for, start_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running stack, shared: tests that stop or break something start their own."""
    started = start_stack(tmp_path_factory.mktemp("stack"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def stack_env(stack: LocalStack) -> dict[str, str]:
    """The variables that lead a process to the shared stack."""
    return {**stack.urls.environment(), "ION_STATE_DIR": str(stack.settings.state_dir)}


@pytest.fixture
def client_settings(stack: LocalStack) -> ClientSettings:
    """A client's settings for the shared stack."""
    return client_settings_for(stack)


@pytest.fixture
def client(client_settings: ClientSettings) -> Iterator[PersonaClient]:
    """A client of the shared stack."""
    with PersonaClient(client_settings) as made:
        yield made
