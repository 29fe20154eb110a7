"""A supervisor process for tests to kill: ``run_stack fake|real [quiet]``, settings from the environment."""

import sys

from rich.console import Console

from infra.local.commands import worker_command
from infra.local.settings import LocalSettings
from infra.local.up import run_until_stopped
from tests.support.stack import fake_worker_command

if __name__ == "__main__":
    command = {"fake": fake_worker_command, "real": worker_command}[sys.argv[1]]
    sys.exit(
        run_until_stopped(LocalSettings(), Console(stderr=True), quiet="quiet" in sys.argv, command=command)
    )
