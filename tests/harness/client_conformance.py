"""The official conformance suite's scenarios for clients that sign in, with an appliance as the client.

The appliance's person is ``clients/conformance_hub.py``.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.appliance import ROOT, Appliance
from tests.harness.conformance import REVISIONS
from tests.harness.node import FIXTURES, environment, node

_SUITE = FIXTURES / "node_modules" / "@modelcontextprotocol" / "conformance"
_EXCEPTIONS = ROOT / "tests" / "proofs" / "auth_conformance_exceptions.toml"
_SCENARIO_S = 120
_WAITS_MS = "60000"
_NOT_WELL = {"FAILURE", "WARNING"}
#: The suite knows clients by a document on this host, which it does not fetch; there the appliance is asked as if by a proxy.
SUITES_HOST = "conformance-test.local"
BY_DOCUMENT = "auth/basic-cimd"


@dataclass(frozen=True)
class Outcome:
    """How one scenario ended."""

    scenario: str
    revision: str
    checks: int
    #: What was not well, in words.
    problems: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether it was looked at, and nothing was wrong."""
        return self.checks > 0 and not self.problems


def scenarios(revision: str) -> list[str]:
    """Return the scenarios about signing in that count for a revision, in the suite's order."""
    text = (_SUITE / "requirements" / f"{revision}.yaml").read_text()
    found = [str(name) for name in yaml.safe_load(text)["client"]]
    return [name for name in found if name.startswith("auth/")]


def exceptions() -> dict[str, str]:
    """Return the scenarios that are not run, with their reasons.

    Raises:
        ValueError: One has no reason.
    """
    found = tomllib.loads(_EXCEPTIONS.read_text())["exception"]
    if unexplained := [item["scenario"] for item in found if not item.get("reason")]:
        raise ValueError(f"exceptions without a reason: {', '.join(unexplained)}")
    return {item["scenario"]: item["reason"] for item in found}


def run(appliance: Appliance, scenario: str, revision: str) -> Outcome:
    """Run one scenario."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as results:
        command = f"{sys.executable} -m tests.harness.clients.conformance_hub"
        done = subprocess.run(
            node(
                *("conformance", "client", "--command", command),
                *("--scenario", scenario, "--spec-version", revision),
                *("--timeout", _WAITS_MS, "-o", results),
            ),
            cwd=ROOT,
            env=environment(
                {
                    "MCP_HOST_URL": appliance.url,
                    "MCP_HOST_GATEWAY": appliance.gateway_url,
                    "MCP_HOST_KEY": appliance.api_key,
                    "MCP_HOST_AS": SUITES_HOST if scenario == BY_DOCUMENT else "",
                }
            ),
            capture_output=True,
            text=True,
            check=False,  # its verdict counts warnings as well; ours is made from its checks
            timeout=_SCENARIO_S,
        )
        checks: list[dict[str, Any]] = [
            check
            for path in Path(results).rglob("checks.json")
            for check in json.loads(path.read_text())
        ]
    problems = [
        f"{check['id']}: {check['status']} {check.get('errorMessage') or check.get('description', '')}"
        for check in checks
        if check["status"] in _NOT_WELL
    ]
    if not checks:
        problems.append(f"it did not run: {done.stderr[-500:]}")
    return Outcome(scenario, revision, len(checks), tuple(problems))


def all_runs() -> list[tuple[str, str]]:
    """Return every scenario that is run, with its revision."""
    left_out = exceptions()
    return [
        (name, revision)
        for revision in REVISIONS
        for name in scenarios(revision)
        if name not in left_out
    ]
