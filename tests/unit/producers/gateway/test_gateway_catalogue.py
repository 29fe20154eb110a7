"""The gateway tells of the mentors that the fleet has, which may be others than ours."""

import asyncio
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import httpx
import pytest

from producers.settings import ClientSettings
from tests.support.gateway_app import ADMIN, gateway_for


@pytest.fixture
def other_catalogue(tmp_path: Path) -> Path:
    """Our mentors, but for what Lua is."""
    with as_file(files("persona_system") / "data") as ours:
        directory = Path(shutil.copytree(ours, tmp_path / "data"))
    lua = directory / "personas" / "lua.toml"
    lines = lua.read_text(encoding="utf-8").splitlines()
    lines = ['role = "gardener"' if line.startswith("role =") else line for line in lines]
    lua.write_text("\n".join(lines), encoding="utf-8")
    return directory


def lua_of(catalogue: Path | None) -> tuple[str, str]:
    """Return Lua's role and the ETag, from a gateway of a fleet with *catalogue*."""
    fleet = ClientSettings(broker_url=None, catalogue_dir=catalogue)

    async def story() -> httpx.Response:
        transport = httpx.ASGITransport(gateway_for(ADMIN, fleet))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get("/api/v2/personas/lua")

    answer = asyncio.run(story())
    return answer.json()["persona"]["role"], answer.headers["ETag"]


def test_a_fleet_with_a_catalogue_of_its_own_has_its_own_mentors(other_catalogue: Path) -> None:
    """Another catalogue has another ETag, so nobody keeps what is not so any more."""
    ours, theirs = lua_of(None), lua_of(other_catalogue)

    assert theirs[0] == "gardener" != ours[0]
    assert theirs[1] != ours[1]
