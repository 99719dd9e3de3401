"""A person signs in with a real provider in a real browser: in, linked, and out again."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from appliance.infra.database import Database
from tests.fakes.mcp_box import wait_until
from tests.functional.gateway.conftest import accepts
from tests.harness.node import ensure_installed, environment, node
from tests.harness.pages import ADMIN, PASSWORD, hub
from tests.harness.ports import free_port

CLIENT, SECRET = "mcp-host", "not a secret: of a test"
NAME = "Example Org"


@contextmanager
def provider(port: int, hub_url: str) -> Iterator[None]:
    """Run the certified provider, at which the hub is a client."""
    command = node("oidc_provider.mjs", str(port), "http://127.0.0.1:1/none", hub_url)
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
            yield
        finally:
            os.killpg(running.pid, signal.SIGKILL)


async def at_the_provider(page: Page, name: str) -> None:
    """Fill in what the provider asks, and agree."""
    await page.locator('input[name="login"]').fill(name)
    await page.locator('input[name="password"]').fill("x")
    await page.get_by_role("button", name="Sign-in").click()
    await page.get_by_role("button", name="Continue").click()


async def sign_out(page: Page) -> None:
    """Sign out here, be led to the provider, and agree there."""
    await page.locator('form[action="/logout"]').first.evaluate("it => it.requestSubmit()")  # fmt: skip
    await page.get_by_role("button", name="Yes, sign me out").click()


async def walk(page: Page, url: str) -> None:
    await page.goto(f"{url}/login")
    await page.get_by_role("link", name=f"Sign in with {NAME}").click()
    await at_the_provider(page, "ada")
    await page.wait_for_url(f"{url}/servers")
    await page.goto(f"{url}/settings/people")
    await expect(page.get_by_text("linked with ada@example.org")).to_be_visible()
    await page.goto(f"{url}/settings/sessions")
    await sign_out(page)
    await page.wait_for_url(f"{url}/")

    await page.goto(f"{url}/login")
    await page.get_by_label("E-mail").fill(ADMIN.replace("ada", "root"))
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{url}/servers")
    await page.goto(f"{url}/settings/sessions")
    await page.get_by_role("button", name=f"Link with {NAME}").click()
    await at_the_provider(page, "zoe")
    await page.wait_for_url(f"{url}/settings/sessions?linked")
    await expect(page.get_by_role("cell", name="zoe@example.org")).to_be_visible()


async def test_a_person_signs_in_links_and_signs_out_with_a_certified_provider(
    database: Database, tmp_path: Path
) -> None:
    await asyncio.to_thread(ensure_installed)
    port = free_port()
    async with hub(
        database,
        data_dir=tmp_path / "data",
        oidc_issuer=f"http://127.0.0.1:{port}",
        oidc_client_id=CLIENT,
        oidc_client_secret=SECRET,
        oidc_name=NAME,
        oidc_create_people=True,
        oidc_roles="ops=admin",
        oidc_logout=True,
    ) as running:
        await running.services.accounts.register("root@example.org", PASSWORD)
        url = str(running.client.make_url("")).rstrip("/")
        problems: list[str] = []
        around = provider(port, url)
        await asyncio.to_thread(around.__enter__)
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=["--no-sandbox"]
                )
                page = await browser.new_page()
                page.on("pageerror", lambda error: problems.append(str(error)))
                await walk(page, url)
                await browser.close()
        finally:
            await asyncio.to_thread(around.__exit__, None, None, None)
    assert problems == []
