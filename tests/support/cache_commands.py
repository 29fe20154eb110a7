"""``ion cache`` in process, and a store with answers of any age for it to look at."""

import json
import os
import time
from contextlib import AbstractContextManager
from typing import Any

import pytest

from persona_system.cache.answers import endpoint_tag, persona_tag, process_request
from persona_system.cache.envelope import Stamped, seal
from persona_system.cache.keys import EVERYTHING_ID
from producers.cli.app import new_app, run
from producers.cli.collaborators import Collaborators, Fleet, Tell
from producers.settings import ClientSettings
from tests.support.valkey import Server

TEXT = "배포가 또 실패했어요. 어떻게 해야 하죠?"
REQUEST = process_request(TEXT, None, None)


class Found:
    """A fleet that is there already."""

    def __init__(self, cache_url: str, **changes: object) -> None:
        given = {"broker_url": "redis+socket:///nowhere.sock?virtual_host=0", "cache_url": cache_url}
        self._settings = ClientSettings.model_validate({**given, **changes})

    def reach(self, tell: Tell) -> AbstractContextManager[ClientSettings]:
        _ = tell
        raise AssertionError("these commands start no fleet")

    def find(self) -> ClientSettings:
        return self._settings


class Ion:
    """Runs command lines and gives exit code, stdout and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], fleet: Fleet) -> None:
        self._capsys, self._given = capsys, Collaborators(fleet)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = run(new_app(), self._given, ("cache", *words))
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: str) -> Any:
        code, out, err = self(*words, "--json")
        assert (code, err) == (0, ""), err
        return json.loads(out)


class Kept:
    """Puts answers into a store as workers do, but of any age."""

    def __init__(self, server: Server, version: bytes) -> None:
        self.client, self._version = server.client, version
        self.client.set("ion:cache:n:version", version)

    def stamp(self, *tags: bytes) -> Stamped:
        stamped = tuple((tag, os.urandom(8)) for tag in tags)
        for tag, stamp in stamped:
            self.client.set(f"ion:cache:t:{tag.hex()}", stamp)
        return stamped

    def answer(
        self,
        stamped: Stamped = (),
        request: bytes = REQUEST,
        version: bytes | None = None,
        age_s: float = 3,
        under: bytes | None = None,
    ) -> None:
        """Keep an answer that is due at 240 s and dead at 1,800; *under* another request's key."""
        key = (self._version if version is None else version) + request
        sealed = seal(key, b"answer", int((time.time() - age_s) * 1000), 240_000, 1_800_000, stamped)
        name = key if under is None else self._version + under
        self.client.set(f"ion:cache:e:{name.hex()}", sealed, px=3_600_000)


def tags_of(persona: str = "Lua", *others: bytes) -> tuple[bytes, ...]:
    return (endpoint_tag("process"), persona_tag(persona), *others, EVERYTHING_ID)
