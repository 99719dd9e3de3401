"""The webhook tab: a secret that is shown once, a curl line that works, and what came of calls."""

import asyncio
import html
import re
import shlex
from collections.abc import AsyncIterator

import pytest

from appliance.accounts.model import Role
from appliance.infra.database import Database
from appliance.servers.model import NewServer
from appliance.sources.spec import parse_source
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


def _curl(text: str) -> list[str]:
    found = re.search(r'<code id="webhook-curl">(.*?)</code>', text, re.DOTALL)
    assert found
    return shlex.split(html.unescape(found[1]))


async def _run(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_curl_line_works_as_it_is_shown(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")

    response = await site.post("/servers/time/webhook/secret")
    code, output = await _run(*_curl(await response.text()))

    assert response.status == 200
    assert (code, "queued" in output) == (0, True), output
    shown = await site.page("/servers/time/webhook")
    assert "A redeploy is queued." in shown
    assert "127.0.0.1" in shown


async def test_the_secret_is_shown_once(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    text = await (await site.post("/servers/time/webhook/secret")).text()
    (secret,) = set(re.findall(r"mcpw_[\w-]{43}", text))

    again = await site.page("/servers/time/webhook")

    assert secret not in again
    assert "mcpw_YOUR_SECRET" in again


async def test_a_curl_line_with_the_wrong_secret_shows_among_the_calls(
    site: Hub,
) -> None:
    await site.host(await site.sign_in(), "time")
    await site.post("/servers/time/webhook/secret")

    code, _ = await _run(*_curl(await site.page("/servers/time/webhook")))

    assert code != 0
    assert "The secret was wrong." in await site.page("/servers/time/webhook")


async def test_the_steps_for_github_name_the_address(site: Hub) -> None:
    source = parse_source({"repo_url": "https://example.org/o/clock.git"})
    principal = await site.sign_in()
    await site.services.servers.create(principal, NewServer(source))
    await site.host(principal, "time")

    text = await site.page("/servers/clock/webhook")

    assert "/api/servers/clock/github</code>" in text
    assert "Nobody has called yet." in text
    assert "default branch redeploys" in text
    assert "/github" not in await site.page("/servers/time/webhook")


async def test_a_removed_webhook_is_gone_from_the_page(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.post("/servers/time/webhook/secret")

    response = await site.post("/servers/time/webhook/remove")

    assert response.headers["Location"] == "/servers/time/webhook"
    assert "there is no secret" in await site.page("/servers/time/webhook")


async def test_a_reader_is_offered_no_secret(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.sign_in("reader@example.org", Role.READER)

    text = await site.page("/servers/time/webhook")
    refused = await site.post("/servers/time/webhook/secret")

    assert "Make a secret" not in text
    assert refused.status == 403
