"""The official conformance suite against a server that this product hosts."""

import json
import re
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.git_http import GitServer
from tests.harness.appliance import Appliance, Created
from tests.harness.node import FIXTURES, ensure_installed, environment, node

REVISIONS = ("2025-11-25", "2026-07-28")
_ROOT = Path(__file__).parent.parent.parent
_FIXTURE = Path("tests/fixtures/conformance_server")
_SUITE = FIXTURES / "node_modules" / "@modelcontextprotocol" / "conformance"
_SUITE_S = 300
_RESULT_DIRECTORY = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\dZ-]+")


@dataclass(frozen=True)
class Build:
    """One of the fixture server's builds."""

    name: str
    eras: str
    transport: str


LEGACY = Build("legacy", "legacy", "stdio")
MODERN = Build("modern", "modern", "streamable-http")
DUAL = Build("dual", "both", "streamable-http")
BUILDS = (LEGACY, MODERN, DUAL)
#: The other ways in which servers of the older era are spoken to.
FURTHER_BUILDS = (
    Build("legacy-http", "legacy", "streamable-http"),
    Build("legacy-sse", "legacy", "sse"),
)


@dataclass(frozen=True)
class Scenario:
    """How one scenario of a requirement set ended."""

    name: str
    revision: str
    #: Failed checks, each as ``id: message``; ``None``: the scenario did not run.
    failures: tuple[str, ...] | None

    @property
    def passed(self) -> bool:
        """Whether it ran and no check failed."""
        return self.failures == ()


def host(appliance: Appliance, repositories: GitServer, build: Build) -> Created:
    """Have the appliance build and start the fixture server from a git repository."""
    files = {
        str(_FIXTURE / path.name): path.read_text()
        for path in (_ROOT / _FIXTURE).glob("*.py")
    }
    files["pyproject.toml"] = (_ROOT / _FIXTURE / "pyproject.toml").read_text()
    url = repositories.add(f"conformance-{build.name}", files)
    return appliance.create(
        f"conformance-{build.name}",
        repo_url=url,
        branch="main",
        transport=build.transport,
        environment={"ERAS": build.eras, "TRANSPORT": build.transport},
    )


def required(revision: str) -> list[str]:
    """Return the scenarios that count for a revision, in the suite's order."""
    ensure_installed()
    text = (_SUITE / "requirements" / f"{revision}.yaml").read_text()
    return [str(name) for name in yaml.safe_load(text)["server"]]


def run(url: str, authorization: str, revision: str) -> list[Scenario]:
    """Run a revision's requirement set against ``url`` and return its scored scenarios.

    Args:
        authorization: The header that the suite itself cannot be told of; may be empty.
    """
    names = required(revision)
    with tempfile.TemporaryDirectory(prefix="conformance-") as results:
        arguments = ["--url", url, "--requirements", revision, "-o", results]
        preload = f"--import={FIXTURES / 'authorize.mjs'}" if authorization else ""
        subprocess.run(
            node("conformance", "server", *arguments),
            env=environment(
                {
                    "NODE_OPTIONS": preload,
                    "MCP_AUTHORIZATION": authorization,
                    "MCP_ENDPOINT": url,
                }
            ),
            capture_output=True,
            check=False,  # its verdict counts failures that are known; ours is made from its checks
            timeout=_SUITE_S,
        )
        found = _checks(Path(results))
    return [
        Scenario(name, revision, _failures(found[name]) if name in found else None)
        for name in names
    ]


def _checks(results: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every scenario's checks; its directory is named ``server-<scenario>-<moment>``."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in results.glob("server-*/checks.json"):
        match = _RESULT_DIRECTORY.fullmatch(path.parent.name)
        assert match is not None, path
        found[match[1]] += json.loads(path.read_text())
    return found


def _failures(checks: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(
        f"{check['id']}: {' '.join(str(check.get('errorMessage', '')).split())}"
        for check in checks
        if check["status"] == "FAILURE"
    )
