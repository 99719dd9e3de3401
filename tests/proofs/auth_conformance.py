"""The official conformance suite about signing in: the box as authorization server, and as the client of others.

For authorization servers, at every revision that it has scenarios for; for clients, at the two that say what counts. What is
left out of these is in ``auth_conformance_exceptions.toml``. The suite has no scenarios for resource servers.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page

from tests.harness import client_conformance
from tests.harness.appliance import Appliance
from tests.harness.browser import chromium, person
from tests.harness.node import ensure_installed, environment, node
from tests.proofs.claim import hold
from tests.proofs.oauth_clients import allow, conformance_server

REVISIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
SCENARIOS = ("authorization-server-metadata-endpoint", "authorization-code-grant")
_PORT = 21573
_PATIENCE_S = 60


def prove() -> None:
    """Run every scenario at every revision."""
    ensure_installed()
    _prove_server()
    _prove_client()


def _prove_client() -> None:
    """Have the box sign in at the suite's servers."""
    outcomes = []
    with Appliance.temporary(
        gw_workers=1, remote_allow_private=True, trusted_proxies="127.0.0.1"
    ) as appliance:
        for scenario, revision in client_conformance.all_runs():
            outcome = client_conformance.run(appliance, scenario, revision)
            outcomes.append(outcome)
            told = "well" if outcome.is_well else "; ".join(outcome.problems)
            print(f"{revision}  {scenario:<40}{told}", flush=True)
    well = sum(outcome.is_well for outcome in outcomes)
    left_out = len(client_conformance.exceptions())
    hold(
        well == len(outcomes),
        f"{well} of {len(outcomes)} scenarios for clients are well; {left_out} left out with reasons",
    )


def _prove_server() -> None:
    seen: Counter[str] = Counter()
    problems: list[str] = []
    with (
        conformance_server() as port,
        Appliance.temporary(gw_workers=1, remote_allow_private=True) as appliance,
        chromium() as browser,
    ):
        created = appliance.create(
            "answers",
            remote_url=f"http://127.0.0.1:{port}/mcp",
            transport="streamable-http",
        )
        appliance.wait_running(created)
        for revision in REVISIONS:
            client_id = _register(appliance.url)
            with person(browser, appliance.url) as somebody:
                checks = _run(
                    appliance, revision, client_id, created.endpoint, somebody.page
                )
            for check in checks:
                seen[check["status"]] += 1
                if check["status"] != "SUCCESS":
                    problems.append(
                        f"{revision} {check['id']}: {check['status']} {check.get('errorMessage', '')}"
                    )
            names = ", ".join(check["id"] for check in checks)
            print(f"{revision}  {len(checks)} checks: {names}", flush=True)
    for problem in problems:
        print(f"not as expected: {problem}")
    wanted = len(REVISIONS) * len(SCENARIOS)
    hold(
        not problems and seen["SUCCESS"] >= wanted,
        f"{seen['SUCCESS']} checks of {len(SCENARIOS)} scenarios at {len(REVISIONS)} revisions pass, {len(problems)} do not",
    )


def _register(url: str) -> str:
    answer = httpx.post(
        f"{url}/oauth/register",
        json={
            "client_name": "Conformance suite",
            "redirect_uris": [f"http://127.0.0.1:{_PORT}/callback"],
            "token_endpoint_auth_method": "none",
        },
    )
    answer.raise_for_status()
    return str(answer.json()["client_id"])


def _run(  # noqa: PLR0917 - one command, taken apart
    appliance: Appliance, revision: str, client_id: str, resource: str, page: Page
) -> list[dict[str, Any]]:
    """Run the scenarios of one revision, click when they ask for it, and return their checks."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as results:
        process = subprocess.Popen(
            node(
                *("conformance", "authorization", "--url", appliance.url),
                *("--client-id", client_id, "--resource", resource),
                *("--spec-version", revision, "-p", str(_PORT), "-o", results),
            ),
            env=environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        overdue = threading.Timer(_PATIENCE_S, _end, (process.pid,))
        overdue.start()
        assert process.stdout
        try:
            for line in process.stdout:
                if line.startswith(f"{appliance.url}/oauth/authorize?"):
                    allow(page, appliance, line.strip())
            process.wait()
        finally:
            overdue.cancel()
            _end(process.pid)
        return [
            check
            for path in sorted(Path(results).rglob("checks.json"))
            for check in json.loads(path.read_text())
        ]


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
