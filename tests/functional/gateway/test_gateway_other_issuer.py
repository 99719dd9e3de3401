"""A real OpenID Connect provider in the place of the built-in authorization server, and the Python SDK between the two."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx
import httpx2
import pytest
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)

from appliance.infra.database import Database
from appliance.oauth.issuers import OtherIssuer
from tests.fakes.mcp_box import BOTH, Box, tool_call, wait_until
from tests.functional.gateway.conftest import accepts
from tests.harness.node import ensure_installed, environment, node
from tests.harness.ports import free_port

CALLBACK = "http://127.0.0.1:5298/callback"


@pytest.fixture
def provider() -> Iterator[str]:
    """The issuer's URL."""
    ensure_installed()
    port = free_port()
    command = node("oidc_provider.mjs", str(port), CALLBACK)
    with subprocess.Popen(
        command,
        env=environment({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Node is the child of what is started here.
        start_new_session=True,
    ) as running:
        try:
            wait_until(lambda: accepts(port), "the provider listens", within_s=60)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(running.pid, signal.SIGKILL)


class Kept:
    """What the SDK's client keeps: its registration, and the tokens that it got."""

    def __init__(self, issuer: str) -> None:
        self.tokens: OAuthToken | None = None
        self._info = OAuthClientInformationFull(
            client_id="sdk",
            redirect_uris=[CALLBACK],
            token_endpoint_auth_method="none",
            issuer=issuer,
        )

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull:
        return self._info

    async def set_client_info(
        self, client_info: OAuthClientInformationFull
    ) -> None: ...


class Person:
    """Signs in as ada and agrees to everything, without a browser: the provider's forms have no scripts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._came_back: dict[str, list[str]] = {}

    async def go(self, url: str) -> None:
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(url)
            for _ in range(12):
                if answer.is_redirect:
                    place = str(answer.next_request.url) if answer.next_request else ""
                    if place.startswith(CALLBACK):
                        self._came_back = parse_qs(urlsplit(place).query)
                        return
                    answer = await browser.get(place)
                    continue
                form = re.search(r'action="([^"]+)"', answer.text)
                prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
                assert form, answer.text
                assert prompt, answer.text
                filled = {"prompt": prompt[1], "login": self._name, "password": "x"}
                answer = await browser.post(form[1], data=filled)
        raise AssertionError("the provider did not send ada back")

    async def answer(self) -> AuthorizationCodeResult:
        found = {name: values[0] for name, values in self._came_back.items()}
        return AuthorizationCodeResult(
            code=found["code"], state=found.get("state"), iss=found.get("iss")
        )


def read(database_url: str, issuer: str) -> None:
    """What the hub's clock does."""

    async def look() -> None:
        async with aiohttp.ClientSession() as session:
            other = OtherIssuer(database, session, issuer)
            await other.look()
            assert (await other.state()).error == ""

    database = Database(database_url, size=2)
    asyncio.run(look())
    database.close()


def test_a_person_of_another_issuer_calls_a_server_through_the_sdk(
    make_box: Callable[..., Box], web_server: str, provider: str
) -> None:
    box = make_box(oauth_issuer=provider, gw_workers=1)
    box.host_http("web", f"{web_server}/mcp")
    box.execute("UPDATE users SET email = 'Ada@example.org' WHERE id = %s", box.owner)
    read(box.database_url, provider)
    url = f"{box.url}/servers/web/mcp"

    async def call(name: str) -> tuple[httpx2.Response, Kept]:
        person, kept = Person(name), Kept(provider)
        said = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="sdk")
        auth = OAuthClientProvider(url, said, kept, person.go, person.answer)
        async with httpx2.AsyncClient(auth=auth, timeout=30) as client:
            return await client.post(url, json=tool_call("headers"), headers=BOTH), kept

    answer, kept = asyncio.run(call("ada"))
    assert answer.status_code == 200, answer.text
    assert "authorization" not in answer.text.lower()
    assert kept.tokens is not None
    token = kept.tokens.access_token
    again: Any = box.post("web", tool_call("headers"), key=token)
    assert again[0] == 200
    elsewhere = box.post("nosuch", tool_call("headers"), key=token)
    assert elsewhere[0] == 401

    stranger, _ = asyncio.run(call("eve"))
    assert stranger.status_code == 401
    assert "nobody here" in stranger.headers["WWW-Authenticate"]
