"""A virtual host of one's own on the RabbitMQ that runs on this machine; a loud skip where none does."""

import contextlib
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator

import pytest

_ADDRESS = ("127.0.0.1", 5672)
_NOT_TESTED = "the product's RabbitMQ side is NOT tested by this run"


def rabbitmqctl(*arguments: str) -> str:
    """Run RabbitMQ's own command and return what it says."""
    program = shutil.which("rabbitmqctl")
    assert program is not None
    command = [program, "--quiet", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@contextlib.contextmanager
def virtual_host() -> Iterator[str]:
    """Make a virtual host and yield the URL of a broker that is it."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(_ADDRESS) != 0 or shutil.which("rabbitmqctl") is None:
            pytest.skip(f"NO RABBITMQ ON THIS MACHINE: {_NOT_TESTED}")
    name = f"ion-test-{uuid.uuid4().hex[:8]}"
    try:
        rabbitmqctl("add_vhost", name)
    except subprocess.CalledProcessError:
        pytest.skip(f"NO RIGHT TO MAKE A VIRTUAL HOST: {_NOT_TESTED}")
    try:
        rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield f"amqp://guest:guest@{_ADDRESS[0]}:{_ADDRESS[1]}/{name}"
    finally:
        rabbitmqctl("delete_vhost", name)
