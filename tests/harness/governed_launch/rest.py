"""A governed launch over the REST API alone."""

import time
from typing import Any

from tests.harness.appliance import Created
from tests.harness.governed_launch.callers import TOOL
from tests.harness.governed_launch.people import Someone
from tests.harness.governed_launch.story import REVIEW, SMOKE, STAGES

RUN_S = 60.0


class Rest:
    """Three people, each with a key of their own.

    Args:
        admin: Who makes policies.
        host: Whose servers they are.
        approver: Who approves.
    """

    name = "rest"

    def __init__(self, admin: Someone, host: Someone, approver: Someone) -> None:
        self._admin, self._host, self._approver = admin, host, approver

    def make_policy(self, text: str) -> None:
        body = {"text": text, "activate": True}
        self._admin.api("POST", "/api/policy/documents", body)

    def host(self, name: str, repo_url: str) -> Created:
        body = {"name": name, "repo_url": repo_url}
        answer = self._host.api("POST", "/api/servers", body)
        told = answer["server"]
        return Created(told["id"], name, told["endpoint"], answer["endpoint_key"])

    def redeploy(self, name: str) -> None:
        self._host.api("POST", f"/api/servers/{name}/redeploy")

    def why_held(self, name: str) -> str:
        view = self._host.api("GET", f"/api/servers/{name}")
        hold = view["hold"] or {"notes": [], "actions": []}
        return " ".join([view["status_reason"], *hold["notes"], *hold["actions"]])

    def evaluate(self, name: str, number: int, version: str) -> None:
        base = f"/api/servers/{name}/evaluations"
        expectation = {"kind": "exact", "value": version}
        test = {"name": f"v{version}", "tool": TOOL, "expectation": expectation}
        made = self._host.api("POST", f"{base}/tests", test)
        suite = {
            "name": f"smoke-{version}",
            "tests": [made["id"]],
            "certifies": {"requirement": SMOKE},
        }
        kept = self._host.api("POST", f"{base}/suites", suite)
        begun = self._host.api(
            "POST", f"{base}/suites/{kept['id']}/run", {"deployment": number}
        )
        self._passes(f"{base}/runs/{begun['id']}")

    def _passes(self, place: str) -> None:
        deadline = time.monotonic() + RUN_S
        while True:
            run: dict[str, Any] = self._host.api("GET", place)
            if run["state"] not in {"queued", "running"}:
                assert run["state"] == "passed", run
                assert run["is_candidate"], run
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the suite has not ended: {run}")
            time.sleep(0.1)

    def certify(self, name: str, run_id: int) -> None:
        body = {"policy_requirement": REVIEW, "status": "pass", "note": name}
        self._host.api("POST", f"/api/artifacts/{run_id}/evaluations", body)

    def lay_track(self, name: str, approver: str) -> None:
        groups = [{"name": "release", "people": [approver]}]
        step = {"name": "review", "kind": "approval", "config": {"groups": groups}}
        workflow = {"name": name, "steps": [step]}
        self._host.api("POST", "/api/governance/workflows", workflow)
        track = {"name": name, "stages": list(STAGES), "workflow": name}
        self._host.api("POST", "/api/promotions/tracks", track)

    def schedule(self, name: str, stage: str, run_id: int) -> int:
        body = {"track": name, "stage": stage, "artifact_run_id": run_id}
        return int(self._host.api("POST", "/api/promotions/schedule", body)["id"])

    def approve_own(self, promotion: int) -> str:
        answer = self._host.ask("POST", f"/api/promotions/{promotion}/approve", {})
        return "" if answer.is_success else str(answer.json()["detail"])

    def approve(self, promotion: int) -> None:
        self._approver.api("POST", f"{self._step(promotion)}/approve", {})

    def reject(self, promotion: int) -> None:
        body = {"comment": "It smells."}
        self._approver.api("POST", f"{self._step(promotion)}/reject", body)

    def _step(self, promotion: int) -> str:
        """Return the step of a promotion that waits in the approver's inbox."""
        wanted = self._host.api("GET", f"/api/promotions/{promotion}")
        items = self._approver.api("GET", "/api/governance/inbox")["items"]
        (run,) = [item for item in items if item["id"] == wanted["governance_run_id"]]
        return f"/api/governance/runs/{run['id']}/steps/1"

    def roll_back(self, promotion: int) -> None:
        body = {"reason": "It is slower."}
        self._host.api("POST", f"/api/promotions/{promotion}/rollback", body)
