"""Clients that nobody here wrote go through the browser flow: 401, discovery, sign-in, consent, token, a tool's answer.

Each twice where it can: with a client ID metadata document, and by registering itself. Chromium does what a person does.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import Page

from tests.harness.appliance import ROOT, Appliance
from tests.harness.browser import chromium, person
from tests.harness.clients.oauth import CLIENTS, Client
from tests.harness.node import ensure_installed, environment
from tests.harness.oauth import Documents, certificate, documents
from tests.proofs.claim import hold

#: Programs that would open a browser print the address and find none that they could start.
_HEADLESS = {"BROWSER": "true", "MCP_AUTO_OPEN_ENABLED": "true"}
_PATIENCE_S = 40
_ANSWER = "This is a simple text response for testing."


def prove() -> None:
    """Let every client go the whole way."""
    ensure_installed()
    with tempfile.TemporaryDirectory(prefix="oauth-clients-") as directory:
        pem = certificate(Path(directory))
        with (
            _serving(pem) as served,
            conformance_server() as port,
            Appliance.temporary(
                gw_workers=2,
                remote_allow_private=True,
                ca_bundle=pem,
                oauth_private_client_hosts=served.host,
            ) as appliance,
            chromium() as browser,
        ):
            created = appliance.create(
                "answers",
                remote_url=f"http://127.0.0.1:{port}/mcp",
                transport="streamable-http",
            )
            appliance.wait_running(created)
            outcomes = {}
            for client in CLIENTS:
                with person(browser, appliance.url) as somebody:
                    document = client.document(served) if client.document else ""
                    click = partial(allow, somebody.page, appliance)
                    outcome = go(client, created.endpoint, document, click)
                outcomes[client.name] = outcome
                print(f"{client.name:<32}{outcome}", flush=True)
            granted = appliance.api("GET", "/api/oauth/grants")["items"]
    good = sum(outcome == "ok" for outcome in outcomes.values())
    hold(
        good == len(CLIENTS),
        f"{good} of {len(CLIENTS)} ways through the browser end with a tool's answer; {len(granted)} grants",
    )


def go(client: Client, url: str, document: str, click: Callable[[str], None]) -> str:
    """Start a client, have somebody click for it, and return ``ok`` or what came instead."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            client.command(url, document),
            cwd=ROOT,
            env=environment({"HOME": home, "MCP_REMOTE_CONFIG_DIR": home, **_HEADLESS}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        lines: list[str] = []
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        try:
            opened = _opened(process, lines, client)
            if opened:
                click(opened)
            return _outcome(process, lines)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def allow(page: Page, appliance: Appliance, address: str) -> None:
    """Do what a person does: sign in, look, allow."""
    page.goto(address)
    page.get_by_label("E-mail").fill(appliance.email)
    page.get_by_label("Password").fill(appliance.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Allow", exact=True).click()
    page.wait_for_load_state()
    if page.url.startswith(appliance.url):
        print(f"the browser stays at {page.url}: {page.inner_text('main')[:300]}")


def _read(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    assert process.stdout
    lines.extend(line.rstrip() for line in process.stdout)


def _opened(
    process: "subprocess.Popen[str]", lines: list[str], client: Client
) -> str | None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in list(lines):
            if found := client.opens.search(line):
                return found[1]
        time.sleep(0.1)
    return None


def _outcome(process: "subprocess.Popen[str]", lines: list[str]) -> str:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if any(_ANSWER in line for line in list(lines)):
            return "ok"
        if process.poll() is not None:
            time.sleep(0.5)
            if any(_ANSWER in line for line in lines):
                return "ok"
            break
        time.sleep(0.1)
    return f"no answer: {' | '.join(lines[-8:])[-900:]}"


@contextmanager
def _serving(pem: Path) -> Iterator[Documents]:
    """Serve documents from a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    found: list[Documents] = []
    done = asyncio.Event()
    started = threading.Event()

    async def serve() -> None:
        async with documents(pem) as served:
            found.append(served)
            started.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


@contextmanager
def conformance_server() -> Iterator[int]:
    """Run a server that the appliance only passes on to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fixtures.conformance_server.server"],
        cwd=ROOT,
        env={
            **os.environ,
            "ERAS": "both",
            "TRANSPORT": "streamable-http",
            "PORT": str(port),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait()
