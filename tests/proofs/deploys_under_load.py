"""Versions take each other's place while clients call without a pause.

Two servers, one over streamable HTTP and one over stdio, are called 100 times a second each; on each, calls of 30 seconds are
in flight at every moment, and sessions with open streams live through everything. Meanwhile each is deployed ten times; five of
the twenty versions are bad: one does not start, one never answers, one answers what is no MCP, one dies as it lists its tools,
and one opens and lists well and fails every call, which its canary finds. No call may fail, no bad version may ever answer a
client, and each must say why it was not taken.

Apart from that, without a canary: a version that fails every call is found out by its users' calls and taken back by itself.
Its calls fail by its own doing until then; how long that lasts and how many there were is told.
"""

import secrets
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.harness.appliance import Appliance, Created
from tests.harness.deploy_load import Load, Noted
from tests.harness.versions import Versions
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs

RATE = 100.0
#: Of what was wanted; a box that cannot call so often proves nothing.
REACHED = 0.9
LONG, LONG_S = 10, 30.0
STREAMS = 10
DRAIN_S = 60.0
START_TIMEOUT_S = 20
DEPLOYMENT_S = 90
#: What is wrong with each deployment of each server, in order; empty: nothing.
PLAN = {
    "http": ["", "exits", "", "", "silent", "", "", "errors", "", ""],
    "stdio": ["", "", "wrong", "", "", "dies", "", "", "", ""],
}
TAKEN_BACK_S = 60


def prove(drain_s: float = DRAIN_S, rate: float = RATE) -> None:
    """Deploy twenty times under load, and once more without a canary."""
    need_programs("docker")
    with (
        Appliance.temporary(gw_workers=2, start_timeout=START_TIMEOUT_S) as appliance,
        ExitStack() as stack,
    ):
        base = appliance.warm_up()
        lanes = [
            Lane(appliance, stack, base, name, drain_s=drain_s, rate=rate)
            for name in ("http", "stdio")
        ]
        for step in range(len(PLAN["http"])):
            for lane in lanes:
                lane.deploy(PLAN[lane.name][step])
            for lane in lanes:
                lane.settle()
        # So that calls that began at the last but one come to their end.
        time.sleep(LONG_S + 5)
        for lane in lanes:
            lane.close()
        problems = [problem for lane in lanes for problem in lane.problems()]
        for lane in lanes:
            lane.tell()
        taken_back, words = taken_back_by_itself(appliance, lanes[0])
        print(words)
        calls = sum(lane.noted.answered.total() for lane in lanes)
        long = sum(lane.noted.long_answered.total() for lane in lanes)
        failed = sum(len(lane.noted.failed) for lane in lanes)
        moved = sum(lane.noted.moved for lane in lanes)
        reached = sum(lane.reached for lane in lanes)
        attempts = [attempt for lane in lanes for attempt in lane.attempts]
        bad = [attempt for attempt in attempts if attempt.fault]
        for problem in problems:
            print(f"PROBLEM: {problem}")
        hold(
            not problems
            and not failed
            and taken_back
            and reached >= REACHED * 2 * rate,
            f"{calls} calls at {reached:.0f}/s and {long} of {LONG_S:.0f} s"
            f" across {len(attempts)} deployments, {len(bad)} of them bad:"
            f" {failed} failed; {moved} streams moved; {'no' if not problems else len(problems)} problems",
        )


@dataclass
class Attempt:
    """One deployment."""

    version: int
    fault: str
    row: dict[str, Any]


class Lane:
    """One server, its clients and its deployments."""

    def __init__(
        self,
        appliance: Appliance,
        stack: ExitStack,
        base: str,
        name: str,
        *,
        drain_s: float,
        rate: float,
    ) -> None:
        self.name = name
        self._appliance = appliance
        self._stack = stack
        self.versions = Versions(base, f"{name}-{secrets.token_hex(3)}")
        stack.callback(self.versions.remove)
        self.versions.publish(0)
        fields: dict[str, Any] = (
            {"transport": "streamable-http"} if name == "http" else {}
        )
        self.server: Created = appliance.create(
            name,
            image=self.versions.tag,
            health={"canary": {"tool": "version"}},
            deploys={"drain_s": drain_s},
            **fields,
        )
        appliance.wait_running(self.server)
        self._load = Load(
            self.server, rate=rate, long=LONG, long_s=LONG_S, streams=STREAMS
        )
        self._running = ExitStack()
        self._running.enter_context(self._load)
        self._began = time.monotonic()
        #: Short calls a second.
        self.reached = 0.0
        stack.callback(self._running.close)
        self.attempts: list[Attempt] = []
        self._number = 0

    @property
    def noted(self) -> Noted:
        return self._load.noted

    def deploy(self, fault: str) -> None:
        """Publish the next version, and deploy it."""
        self._number += 1
        self.versions.publish(self._number, fault)
        self._appliance.api("POST", f"/api/servers/{self.server.id}/redeploy")
        self.attempts.append(Attempt(self._number, fault, {}))

    def settle(self) -> None:
        """Wait until it is known what became of the last deployment."""
        deadline = time.monotonic() + DEPLOYMENT_S
        attempt = self.attempts[-1]
        place = f"/api/servers/{self.server.id}/deployments/{attempt.version + 1}"
        while time.monotonic() < deadline:
            attempt.row = self._appliance.api("GET", place)
            if attempt.row["state"] != "pending":
                return
            time.sleep(0.2)
        raise TimeoutError(f"{self.name}: {attempt.row}")

    def close(self) -> None:
        """End the clients."""
        lasted = time.monotonic() - self._began
        self.reached = self.noted.answered.total() / lasted
        self._running.close()

    def problems(self) -> list[str]:
        """Return what is not as it should be."""
        found = []
        for attempt in self.attempts:
            state, reason = attempt.row["state"], attempt.row["reason"]
            took_over = attempt.row["live_at"] is not None
            if attempt.fault and (took_over or state != "failed" or not reason):
                found.append(
                    f"{self.name} {attempt.version} ({attempt.fault}): {state}, {reason}"
                )
            if not attempt.fault and (
                not took_over or not attempt.row["runs_as_wanted"]
            ):
                found.append(f"{self.name} {attempt.version}: {state}, {reason}")
        bad = {str(item.version) for item in self.attempts if item.fault}
        answered = self.noted.answered + self.noted.long_answered
        found += [
            f"{self.name} {version} answered clients" for version in bad & set(answered)
        ]
        good = [0, *(item.version for item in self.attempts if not item.fault)]
        found += [
            f"{self.name} {version} never answered"
            for version in good
            if str(version) not in answered
        ]
        if self.noted.failed:
            found.append(f"{self.name}: {self.noted.failures()}")
        left = self._appliance.containers(self.server.id)
        if len(left) > 1 + LONG_S / 5:
            found.append(f"{self.name}: {len(left)} containers")
        return found

    def tell(self) -> None:
        """Print what happened."""
        for item in self.attempts:
            word = item.fault or "good"
            print(
                f"{self.name:<5} {item.version:>2} {word:<7} {item.row['state']:<10} {item.row['reason'][:150]}"
            )
        noted = self.noted
        took = statistics.quantiles(noted.took, n=100)
        gaps = sorted(noted.gaps)[-1:] or [0.0]
        print(
            f"{self.name:<5} {noted.answered.total()} calls, p50 {took[49] * 1000:.0f} ms, p99 {took[98] * 1000:.0f} ms;"
            f" {noted.long_answered.total()} long ones; {noted.moved} streams moved, longest silence {gaps[0]:.1f} s;"
            f" {len(noted.failed)} failed"
        )


def taken_back_by_itself(appliance: Appliance, lane: Lane) -> tuple[bool, str]:
    """Deploy a version that fails every call, where no canary finds it, and see it taken back."""
    place = f"/api/servers/{lane.server.id}"
    appliance.api("PUT", f"{place}/health", {"interval_s": 3600, "timeout_s": 10})
    load = Load(lane.server, rate=20, long=0, long_s=1, streams=1)
    with load:
        time.sleep(3)
        lane.deploy("errors")
        lane.settle()
        bad = lane.attempts.pop()
        deadline = time.monotonic() + TAKEN_BACK_S
        rows: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            rows = appliance.api("GET", f"{place}/deployments?limit=2")["items"]
            if (
                rows[0]["trigger"] == "automatic-rollback"
                and rows[0]["state"] == "live"
            ):
                break
            time.sleep(0.2)
        time.sleep(2)
    made, taken = rows
    alien = [
        text
        for _, text in load.noted.failed
        if f"version {bad.version} is broken" not in text
    ]
    times = [at for at, _ in load.noted.failed] or [0.0]
    is_well = (
        made["trigger"] == "automatic-rollback"
        and made["state"] == "live"
        and taken["state"] == "rolled-back"
        and bool(load.noted.failed)
        and not alien
    )
    return is_well, (
        f"without a canary: {len(load.noted.failed)} calls failed by version {bad.version}'s own doing within"
        f" {max(times) - min(times):.1f} s, {len(alien)} otherwise; then it was {taken['state']}: {taken['reason']}"
    )
