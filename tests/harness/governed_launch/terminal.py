"""A governed launch by ``mcpctl`` alone: three people, each at a terminal of their own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.harness.appliance import Appliance, Created
from tests.harness.governed_launch.callers import TOOL
from tests.harness.governed_launch.people import Someone
from tests.harness.governed_launch.story import REVIEW, SMOKE, STAGES

RUN_S = 120


class Terminal:
    """Runs the commands that a person would type, and those that a script would.

    Args:
        appliance: Whose hub is asked.
        admin: Who makes policies.
        host: Whose servers they are.
        approver: Who approves.
    """

    name = "mcpctl"

    def __init__(
        self, appliance: Appliance, admin: Someone, host: Someone, approver: Someone
    ) -> None:
        self._url = appliance.url
        self._admin, self._host, self._approver = admin, host, approver

    def make_policy(self, text: str) -> None:
        made = self._json(self._admin, "policy", "apply", "-", stdin=text)
        assert made["is_active"], made

    def host(self, name: str, repo_url: str) -> Created:
        done = self._run(
            self._host, "servers", "create", name, "--git", repo_url, "--wait", "--json"
        )
        # It is held, which is no success; what was made is told all the same, with its key.
        assert done.returncode == 1, done.stdout
        assert f"{name} is held" in done.stderr, done.stderr
        told = json.loads(done.stdout)
        server = told["server"]
        assert server["status"].startswith("pending-"), server["status"]
        return Created(server["id"], name, server["endpoint"], told["endpoint_key"])

    def redeploy(self, name: str) -> None:
        self._json(self._host, "servers", "redeploy", name, "--json", output=False)

    def why_held(self, name: str) -> str:
        done = self._run(self._host, "policy", "explain", name)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def evaluate(self, name: str, number: int, version: str) -> None:
        test = {
            "name": f"v{version}",
            "tool": TOOL,
            "expectation": {"kind": "exact", "value": version},
        }
        kept = self._json(
            self._host, "evaluations", "add-test", name, "-", stdin=json.dumps(test)
        )
        suite = {
            "name": f"smoke-{version}",
            "tests": [kept["id"]],
            "certifies": {"requirement": SMOKE},
        }
        self._json(
            self._host, "evaluations", "add-suite", name, "-", stdin=json.dumps(suite)
        )
        run = self._json(
            self._host,
            *("evaluations", "run", name, str(suite["name"])),
            *("--deployment", str(number), "--wait"),
        )
        assert run["state"] == "passed", run

    def certify(self, name: str, run_id: int) -> None:
        self._json(
            self._host,
            *("evaluations", "certify", "--artifact", str(run_id)),
            *("--requirement", REVIEW, "--status", "pass", "--note", name),
        )

    def lay_track(self, name: str, approver: str) -> None:
        groups = [{"name": "release", "people": [approver]}]
        step = {"name": "review", "kind": "approval", "config": {"groups": groups}}
        workflow = json.dumps({"name": name, "steps": [step]})
        self._json(self._host, "governance", "create", "-", stdin=workflow)
        self._json(
            self._host, "promotions", "create-track", name, *STAGES, "--workflow", name
        )

    def schedule(self, name: str, stage: str, run_id: int) -> int:
        made = self._json(
            self._host, "promotions", "schedule", name, stage, str(run_id)
        )
        return int(made["id"])

    def approve_own(self, promotion: int) -> str:
        done = self._run(self._host, "promotions", "approve", str(promotion))
        return "" if done.returncode == 0 else done.stderr

    def approve(self, promotion: int) -> None:
        run = self._waiting(promotion)
        self._json(self._approver, "governance", "approve", run)
        found = self._json(self._host, "promotions", "show", str(promotion), "--wait")
        assert found["status"] == "active", found

    def reject(self, promotion: int) -> None:
        run = self._waiting(promotion)
        self._json(
            self._approver, "governance", "reject", run, "--comment", "It smells."
        )
        done = self._run(
            self._host, "promotions", "show", str(promotion), "--wait", "--output", "json"
        )  # fmt: skip
        assert done.returncode == 1, done.stdout
        assert "It smells." in done.stderr, done.stderr

    def _waiting(self, promotion: int) -> str:
        """Return the run of a promotion as the approver finds it in the inbox."""
        wanted = self._json(self._host, "promotions", "show", str(promotion))
        inbox = self._json(self._approver, "governance", "inbox")["items"]
        (run,) = [item for item in inbox if item["id"] == wanted["governance_run_id"]]
        return str(run["id"])

    def roll_back(self, promotion: int) -> None:
        self._json(
            self._host,
            *("promotions", "rollback", str(promotion), "--reason", "It is slower."),
        )

    def _json(
        self, who: Someone, *arguments: str, stdin: str = "", output: bool = True
    ) -> Any:
        """Return what a command printed for programs; one that fails ends the story."""
        asked = [*arguments, "--output", "json"] if output else list(arguments)
        done = self._run(who, *asked, stdin=stdin)
        assert done.returncode == 0, f"mcpctl {' '.join(asked)}: {done.stderr}"
        return json.loads(done.stdout)

    def _run(
        self, who: Someone, *arguments: str, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryDirectory() as home:
            return subprocess.run(
                [sys.executable, "-m", "mcpctl", *arguments],
                env={
                    "PATH": os.environ["PATH"],
                    "XDG_CONFIG_HOME": str(Path(home)),
                    "MCPCTL_URL": self._url,
                    "MCPCTL_API_KEY": who.key,
                },
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=RUN_S,
            )
