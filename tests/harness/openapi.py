"""``schemathesis`` over a hub's own document: what it is told, and what it found."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.harness.appliance import ROOT

EVENT_STREAM = "text/event-stream"
#: Checks that are not made, and why.
NOT_CHECKED: Final = {
    "positive_data_acceptance": "rules between fields, and of what there is, are not in a schema: 409 and 422 say them",
    "allow_header_conformance": "an address may be two routes' (secrets/move, secrets/{name}): Allow names what both take",
}
#: Codes of documented 502s and 503s: somebody else's program or address failed, which the answer tells.
FORGIVEN: Final = {
    "entry_unreachable": "the address of a registry's entry answers nothing",
    "mcp_unavailable": "the server that was called does not answer",
    "mcp_call_failed": "the server that was called refused",
    "not_ready": "the server that was called does not run yet",
    "service_test_failed": "the database that was tried is not there",
    "files_not_ready": "the server has no /data yet",
}
#: Of a stream, so many events are read, or as long; its status, content type and events are checked as of any other answer.
STREAM_EVENTS = 3
STREAM_S = 0.4
_ANSWER_S = 20


@dataclass(frozen=True)
class Asked:
    """What one run is about."""

    url: str
    key: str
    #: Field of a body to what stands in for what it would fetch from strangers.
    local: Mapping[str, str] = field(default_factory=dict)
    #: Parameter of an address to those that are not written to: the run lives by them.
    kept: Mapping[str, Sequence[object]] = field(default_factory=dict)
    #: Likewise, to those that are not removed, so that something is left to ask about.
    alive: Mapping[str, Sequence[object]] = field(default_factory=dict)
    #: Whether every border of every schema is tried, which for one more person would find nothing new.
    is_thorough: bool = True


@dataclass(frozen=True)
class Found:
    """What one run found."""

    operations: int
    cases: int
    #: One line each; empty: all is as the document says.
    failures: list[str]
    #: (operation, status, code) to how often it was answered.
    seen: Counter[tuple[str, int, str]]
    #: All that schemathesis printed, for whoever mends it.
    told: str

    def good(self) -> set[str]:
        """Return the operations that did what they are for."""
        return {name for name, status, _ in self.seen if status < 300}


def ask(
    asked: Asked,
    document: Mapping[str, Any],
    directory: Path,
    *,
    examples: int,
    only: str = "",
) -> Found:
    """Ask everything that a document describes, rightly and wrongly.

    Args:
        directory: Where notes are kept.
        examples: Made-up requests of each route, beside those that try every border of its schemas.
        only: The one operation to ask, such as ``GET /api/me``.
    """
    names = ("plan.json", "seen", "report", "document.json", "schemathesis.toml")
    files = {name: directory / name for name in names}
    for path in files.values():
        path.unlink(missing_ok=True)
    files["seen"].touch()
    files["plan.json"].write_text(json.dumps(_plan(asked, document, files["seen"])))
    files["document.json"].write_text(json.dumps(document))
    files["schemathesis.toml"].write_text(_settings(document))
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(files["schemathesis.toml"])),
        *("run", str(files["document.json"]), "--url", asked.url),
        *("--header", f"Authorization: Bearer {asked.key}"),
        *("--phases", "examples,coverage,fuzzing" if asked.is_thorough else "fuzzing"),
        *("--max-examples", str(examples)),
        *("--seed", "1", "--generation-database", "none", "--no-shrink"),
        *("--exclude-checks", ",".join(NOT_CHECKED), "--continue-on-failure"),
        # On a busy box a stream may not begin in its moment.
        *("--request-retries", "2"),
        *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
        *("--report-json-path", str(files["report"])),
        *(("--include-name", only) if only else ()),
    ]
    done = subprocess.run(
        command,
        # It leaves notes of its own where it runs.
        cwd=directory,
        env={
            **os.environ,
            "OPENAPI_PLAN": str(files["plan.json"]),
            "SCHEMATHESIS_HOOKS": "tests.harness.openapi_hooks",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if not files["report"].exists():
        raise RuntimeError(f"schemathesis did not run: {done.stdout}{done.stderr}")
    report = json.loads(files["report"].read_text())
    return _found(report, files["seen"].read_text(), done.stdout)


def _plan(asked: Asked, document: Mapping[str, Any], seen: Path) -> dict[str, Any]:
    lists = {path for path, methods in document["paths"].items() if "get" in methods}
    others: dict[str, list[str]] = {}
    for path in document["paths"]:
        above, brace, name = path.rpartition("/{")
        if brace and above in lists and "{" not in above:
            others.setdefault(name.rstrip("}"), []).append(above)
    return {
        "url": asked.url,
        "key": asked.key,
        "local": dict(asked.local),
        "kept": {name: list(kept) for name, kept in asked.kept.items()},
        "alive": {name: list(alive) for name, alive in asked.alive.items()},
        "lists": sorted(lists),
        "others": others,
        "forgiven": list(FORGIVEN),
        "seen": str(seen),
    }


def _settings(document: Mapping[str, Any]) -> str:
    lines = [f"request-timeout = {_ANSWER_S}", f"max-stream-events = {STREAM_EVENTS}"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if EVENT_STREAM in operation["responses"].get("200", {}).get("content", {}):
                name = json.dumps(f"{method.upper()} {path}")
                lines += ["[[operations]]", f"include-name = {name}", f"request-timeout = {STREAM_S}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _found(report: Mapping[str, Any], seen: str, told: str) -> Found:
    rows = [json.loads(line) for line in seen.splitlines()]
    return Found(
        operations=report["operations"]["tested"],
        cases=report["test_cases"]["generated"],
        failures=[
            f"{group['title']}: {operation}"
            for group in report["failures"]
            for operation in group["operations"]
        ]
        + [f"{group['title']}, {group['count']} times" for group in report["errors"]],
        seen=Counter((row["operation"], row["status"], row["code"]) for row in rows),
        told=told,
    )
