"""What all settings have in common: the environment, and files for what should not stand there.

A file in the directory ``ION_SECRETS_DIR`` that is called like a variable, in any letter case, gives its
value where the environment does not: ``/run/secrets/ION_BROKER_URL``.  Docker and Kubernetes mount secrets
so: an environment is handed on to every child, and shown in more places than a file is.
"""

import os
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource

from persona_system.errors import InvalidInput

DIRECTORY = "ION_SECRETS_DIR"
REGION = r"^[a-z0-9][a-z0-9-]{0,62}$"  # what the name of a region looks like


class SecretAddress(SecretStr):
    """An address that lets anybody in who knows it: not even its host and path are shown."""


class IonSettings(BaseSettings):
    """Settings whose values are passed in, else from the environment, else from files.

    Raises InvalidInput when ION_SECRETS_DIR is set and names no directory.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from, the first one that has a value wins."""
        _ = dotenv_settings, file_secret_settings  # pydantic's own, which are not configured
        directory = os.environ.get(DIRECTORY)
        if not directory:
            return init_settings, env_settings
        if not Path(directory).is_dir():
            raise InvalidInput(DIRECTORY, "names no directory", "mount the secrets there, or unset it")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, directory)
