"""kill -9 of every process, one by one, while a build and calls run.

For each victim a server is created, and in the middle of its build the victim dies. Then everything must be back by itself:
the build finishes exactly once, the new server answers, calls to an older server go on, and the engine has one container for
each server, the older one's being the same as before.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Self

import httpx

from tests.harness.appliance import Appliance, Created
from tests.harness.mcp import HttpMcp
from tests.proofs.claim import hold

VICTIMS = ("hub", "workers", "bridge", "gateway", "postgres")
RECOVERY_S = 120
#: A gap between answered calls that a person would call an outage.
LONGEST_GAP_S = 20


def prove() -> None:
    """Kill each process in the middle of a build."""
    with Appliance.temporary(gw_workers=2) as appliance:
        appliance.warm_up()
        steady = appliance.create("steady", package="pypi:mcp-server-time")
        appliance.wait_running(steady)
        container = appliance.containers(steady.id)
        with Caller(steady) as caller:
            verdicts = [_kill(appliance, victim, caller) for victim in VICTIMS]
        same = appliance.containers(steady.id) == container
        broken = [verdict.victim for verdict in verdicts if verdict.problems]
        for verdict in verdicts:
            print(verdict)
        hold(
            not broken and same and caller.answered > 0,
            f"{len(VICTIMS)} kills, {caller.answered} calls answered, {caller.refused} refused meanwhile, longest gap "
            f"{caller.longest_gap_s:.1f} s; old container {'unchanged' if same else 'CHANGED'}; "
            f"broken: {', '.join(broken) or 'none'}",
        )


@dataclass
class Verdict:
    """What one kill did."""

    victim: str
    recovered_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = "; ".join(self.problems) or "all well"
        return f"{self.victim:<9} new server answered {self.recovered_s:5.1f} s after the kill; {verdict}"


def _kill(appliance: Appliance, victim: str, caller: "Caller") -> Verdict:
    verdict = Verdict(victim)
    created = appliance.create(f"kill-{victim}", package="pypi:mcp-server-fetch")
    appliance.wait_status(created, {"building"})
    time.sleep(0.5)
    appliance.kill(victim)
    started = time.monotonic()
    caller.gap_starts()
    appliance.wait_running(created, timeout_s=RECOVERY_S)
    with HttpMcp(created.endpoint, created.key) as client:
        client.initialize()
        client.request("tools/list")
    verdict.recovered_s = time.monotonic() - started
    builds = appliance.query(
        "SELECT count(*) FROM builds WHERE server_id = %s AND state = 'succeeded'",
        created.id,
    )
    if builds != [(1,)]:
        verdict.problems.append(f"{builds[0][0]} succeeded builds")
    if (count := len(appliance.containers(created.id))) != 1:
        verdict.problems.append(f"{count} containers")
    if (gap := caller.gap_ends()) > LONGEST_GAP_S:
        verdict.problems.append(f"no call answered for {gap:.1f} s")
    appliance.delete(created.id)
    return verdict


class Caller:
    """Calls one server over and over in the background, as an agent would."""

    def __init__(self, server: Created) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._last = time.monotonic()
        self._gap = 0.0
        self.answered = 0
        self.refused = 0
        self.longest_gap_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def gap_starts(self) -> None:
        """Forget gaps so far."""
        self._gap = 0.0

    def gap_ends(self) -> float:
        """Return the longest time without an answer since ``gap_starts``, in seconds; waits for one answer more."""
        answered = self.answered
        deadline = time.monotonic() + RECOVERY_S
        while self.answered == answered and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._gap

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with HttpMcp(
                    self._server.endpoint, self._server.key, timeout_s=10
                ) as client:
                    client.initialize()
                    while not self._stop.wait(0.05):
                        client.call("get_current_time", timezone="UTC")
                        self._answer()
            except (httpx.HTTPError, RuntimeError):
                self.refused += 1
                time.sleep(0.1)

    def _answer(self) -> None:
        moment = time.monotonic()
        self._gap = max(self._gap, moment - self._last)
        self.longest_gap_s = max(self.longest_gap_s, self._gap)
        self._last = moment
        self.answered += 1
