"""Tests, a suite that certifies and a replay, of a published server in its container, through the gateway."""

import time
from typing import Any

from tests.harness.appliance import Appliance, Created
from tests.harness.mcp import HttpMcp

TIMEOUT_S = 90.0
TOOL = "get_current_time"
TESTS: list[dict[str, Any]] = [
    {
        "name": "knows UTC",
        "tool": TOOL,
        "arguments": {"timezone": "UTC"},
        "expectation": {"kind": "jsonpath", "path": "$.timezone", "equals": "UTC"},
    },
    {
        "name": "refuses Mars",
        "tool": TOOL,
        "arguments": {"timezone": "Mars/Base"},
        "expectation": {"kind": "error", "class": "tool_error", "contains": "Mars"},
    },
]


def ended(appliance: Appliance, base: str, run: dict[str, Any]) -> dict[str, Any]:
    """Return a run with its results once it has ended."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found: dict[str, Any] = appliance.api("GET", f"{base}/runs/{run['id']}")
        if found["finished_at"] is not None:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def with_suite(appliance: Appliance, base: str) -> dict[str, Any]:
    """Return the ended run of a new suite that certifies."""
    ids = [appliance.api("POST", f"{base}/tests", item)["id"] for item in TESTS]
    body = {"name": "smoke", "tests": ids, "certifies": {"requirement": "smoke"}}
    suite = appliance.api("POST", f"{base}/suites", body)
    run = appliance.api("POST", f"{base}/suites/{suite['id']}/run", {})
    return ended(appliance, base, run)


def called(appliance: Appliance, created: Created) -> None:
    """Have a client call the server, and wait until that is recorded."""
    with HttpMcp(created.endpoint, created.key) as client:
        client.initialize()
        client.call(TOOL, timezone="UTC")
    deadline = time.monotonic() + TIMEOUT_S
    path = f"/api/servers/{created.id}/invocations?method=tools/call"
    while not appliance.api("GET", path)["items"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_is_held_is_tested_certified_launched_and_replayed(
    appliance: Appliance,
) -> None:
    rule = {"kind": "require-certification", "tiers": ["*:graded"]}
    policy = {"version": 1, "rules": [{**rule, "requirements": ["smoke"]}]}
    appliance.api("POST", "/api/policy/documents", {"document": policy, "activate": True})  # fmt: skip
    created = appliance.create(
        "graded", package="pypi:mcp-server-time", server_type="graded"
    )
    appliance.wait_status(created, {"pending-evaluation"})
    base = f"/api/servers/{created.id}/evaluations"

    run = with_suite(appliance, base)
    appliance.wait_running(created)
    called(appliance, created)
    # What it answers is the time, in whole seconds: another one must have begun.
    time.sleep(1.1)
    # Of a box that is busy otherwise, nothing is said about time.
    replay = {"tools": [TOOL], "limit": 5, "latency_ms": 60_000}
    first = ended(appliance, base, appliance.api("POST", f"{base}/replay", replay))
    appliance.api("POST", f"{base}/runs/{first['id']}/accept", {"reason": "a clock"})
    second = ended(appliance, base, appliance.api("POST", f"{base}/replay", replay))

    assert (run["state"], run["passed"], run["is_candidate"]) == ("passed", 2, True)
    (made,) = appliance.api("GET", f"/api/servers/{created.id}/certifications")["items"]
    assert (made["standing"], made["origin"]) == ("active", "suite")
    assert made["artifact_run_id"] is not None
    assert made["manifest_digest"] == run["digest"]
    assert first["state"] == "failed", first
    found = {item["path"] for item in first["results"][0]["differences"]}
    assert found == {"$.datetime"}
    assert second["state"] == "passed", second
    board = appliance.api("GET", "/api/evaluations")["items"]
    assert (board[0]["server_name"], board[0]["score"]) == ("graded", 1.0)
    appliance.delete(created.id)
    appliance.api("POST", "/api/policy/deactivate", {})
