"""The ``mcp`` SDK's client through OAuth: ``python -m tests.harness.clients.oauth_python URL [DOCUMENT]``.

It prints ``OPEN <address>`` for whoever has a browser, waits for the answer at its own callback, and prints last what a
tool said. With DOCUMENT its id is that address, else it registers itself.
"""

import asyncio
import sys
from typing import Any

import httpx2
from aiohttp import web
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

PATIENCE_S = 60.0


class _Memory(TokenStorage):
    """Tokens for as long as the process lives."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


async def _main(url: str, document: str | None = None) -> str:
    answered: asyncio.Future[AuthorizationCodeResult] = asyncio.Future()

    async def callback(request: web.Request) -> web.Response:
        query = request.query
        answered.set_result(
            AuthorizationCodeResult(
                code=query.get("code", ""),
                state=query.get("state"),
                iss=query.get("iss"),
            )
        )
        return web.Response(text="You may close this window.")

    async def open_browser(address: str) -> None:
        print(f"OPEN {address}", flush=True)  # noqa: T201 - for whoever clicks

    async def wait() -> AuthorizationCodeResult:
        return await answered

    app = web.Application()
    app.router.add_get("/callback", callback)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    metadata = OAuthClientMetadata(
        client_name="Python SDK",
        redirect_uris=[AnyUrl(f"http://127.0.0.1:{port}/callback")],
        token_endpoint_auth_method="none",
    )
    provider = OAuthClientProvider(
        url,
        metadata,
        _Memory(),
        redirect_handler=open_browser,
        callback_handler=wait,
        client_metadata_url=document,
    )
    async with (
        httpx2.AsyncClient(auth=provider, timeout=PATIENCE_S) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result: Any = await client.call_tool("test_simple_text", {})
        await runner.cleanup()
        return "".join(getattr(item, "text", "") for item in result.content)


if __name__ == "__main__":
    print(asyncio.run(_main(*sys.argv[1:])))  # noqa: T201 - the outcome
