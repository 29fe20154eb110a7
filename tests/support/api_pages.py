"""What a gateway shows of its API, asked for without a server or a fleet: nothing of it needs one."""

import asyncio
from typing import Any

import httpx

from producers.gateway.app import build_gateway
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings


def shown(path: str, headers: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
    """Return what a gateway with *settings* answers at *path*."""

    async def ask() -> httpx.Response:
        app = build_gateway(GatewaySettings(**settings), ClientSettings())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def document(**settings: Any) -> dict[str, Any]:
    """Return the OpenAPI document of a gateway with *settings*."""
    found: dict[str, Any] = shown("/openapi.json", **settings).json()
    return found
