"""The status tells the truth about servers that lie: within one interval after the fault, and again after the repair.

Each server answers ``initialize`` and goes bad in its own way, at the worst moment, which is right after a check. Some are
called by clients all the time, some by nobody, some have a canary. What counts is what the API says, and what history keeps.
"""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import moody
from tests.harness.appliance import Appliance, Created
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs

IMAGE = "mcp-host-proof/moody:health"
INTERVAL_S, TIMEOUT_S = 10.0, 3.0
ROUNDS = 2
GIVES_UP_S = 120
HTTP = {
    "transport": "streamable-http",
    "port": moody.PORT,
    "path": moody.PATH,
    "environment": {"MODE": "http"},
}
#: Of its own: whatever else is on the box has other networks.
POOL = "10.231.0.0/16"
CANARY = {"tool": "mood", "arguments": {}}


@dataclass(frozen=True)
class Case:
    """One server, and how it goes bad."""

    name: str
    mood: str
    #: What the reason must contain.
    says: str
    is_called: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    canary: dict[str, Any] | None = None


CASES = (
    Case("refuses", "refuse", moody.REFUSAL, is_called=True),
    Case("refuses-http", "refuse", moody.REFUSAL, is_called=True, fields=HTTP),
    Case("fails", "fail", moody.REFUSAL, is_called=True),
    Case("fails-uncalled", "fail", moody.REFUSAL, canary=CANARY),
    Case("hangs", "hang", "no answer within 3 s"),
    Case("hangs-http", "hang", "no answer within 3 s", fields=HTTP),
    Case("babbles", "babble", "It is a fine day"),
    Case("babbles-http", "babble", "It is a fine day", fields=HTTP),
)


def prove() -> None:
    """Make servers go bad and mend them, and compare what is said with what is so."""
    need_programs("docker")
    moody.build(IMAGE)
    try:
        with Appliance.temporary(gw_workers=1, server_subnet_pool=POOL) as appliance:
            verdicts = measure(appliance)
    finally:
        subprocess.run(["docker", "rmi", "-f", IMAGE], check=False, capture_output=True)
    for verdict in verdicts:
        print(verdict)
    wrong = [verdict for verdict in verdicts if verdict.problem]
    slowest = max(
        (second for verdict in verdicts for second in verdict.seconds), default=0.0
    )
    hold(
        not wrong,
        f"{len(verdicts)} servers, {len(wrong)} told wrongly or late; the slowest change showed after {slowest:.1f} s, "
        f"the interval is {INTERVAL_S:g} s",
    )


@dataclass
class Verdict:
    """How one case went."""

    name: str
    #: From each fault or repair to the status that tells.
    seconds: list[float] = field(default_factory=list)
    problem: str = ""

    def __str__(self) -> str:
        times = ", ".join(f"{second:.1f}" for second in self.seconds)
        return f"{self.name:<15} {times or '-'} s  {self.problem or 'right'}"


def measure(appliance: Appliance) -> list[Verdict]:
    """Run every case beside the others."""
    calm = [("well", False), ("mistaken", True)]
    names = [case.name for case in CASES] + ["paused", "dies"]
    with ThreadPoolExecutor(len(names) + len(calm)) as threads:
        servers = {
            name: threads.submit(make, appliance, name, case)
            for name, case in {
                **{case.name: case for case in CASES},
                **dict.fromkeys(("paused", "dies", "well", "mistaken")),
            }.items()
        }
        made = {name: future.result() for name, future in servers.items()}
        jobs = [
            threads.submit(run_case, appliance, case, made[case.name]) for case in CASES
        ]
        jobs.append(threads.submit(run_paused, appliance, made["paused"]))
        jobs.append(threads.submit(run_dying, appliance, made["dies"]))
        jobs += [
            threads.submit(run_calm, appliance, made[name], makes_mistakes=mistakes)
            for name, mistakes in calm
        ]
        return [job.result() for job in jobs]


def make(appliance: Appliance, name: str, case: Case | None) -> Created:
    """Create one server, and wait until it runs and was asked."""
    policy = {"interval_s": INTERVAL_S, "timeout_s": TIMEOUT_S}
    if case and case.canary:
        policy["canary"] = case.canary  # type: ignore[assignment]  # JSON
    fields = case.fields if case else {}
    server = appliance.create(name, image=IMAGE, health=policy, **fields)
    appliance.wait_running(server)
    until(lambda: health(appliance, server)["state"] == "ready", "it is ready")
    return server


def run_case(appliance: Appliance, case: Case, server: Created) -> Verdict:
    """Have it go bad and mend it, over and over."""
    verdict = Verdict(case.name)
    with called(server, is_called=case.is_called):
        for _ in range(ROUNDS):
            await_check(appliance, server)
            set_mood(server, case.mood)
            if not shows(appliance, server, verdict, "degraded", says=case.says):
                return verdict
            await_check(appliance, server)
            set_mood(server, "well")
            free(server, case.mood)
            if not shows(appliance, server, verdict, "running", says=""):
                return verdict
    expect_history(appliance, server, case.says, verdict)
    return verdict


def run_paused(appliance: Appliance, server: Created) -> Verdict:
    """Stop its container's clock."""
    verdict = Verdict("paused")
    for _ in range(ROUNDS):
        await_check(appliance, server)
        docker("pause", container(server))
        if not shows(
            appliance, server, verdict, "degraded", says="container is paused"
        ):
            break
        docker("unpause", container(server))
        if not shows(appliance, server, verdict, "running", says=""):
            break
    expect_history(appliance, server, "container is paused", verdict)
    return verdict


def run_dying(appliance: Appliance, server: Created) -> Verdict:
    """Have it die every three seconds until it is left alone, then mend and start it."""
    verdict = Verdict("dies")
    volume = docker(
        "inspect",
        "-f",
        '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Name}}{{end}}{{end}}',
        container(server),
    )
    await_check(appliance, server)
    set_mood(server, "die")
    if not shows(appliance, server, verdict, "starting", says="Crashed"):
        return verdict
    until(lambda: status(appliance, server)[0] == "error", "it is left alone")
    reason = status(appliance, server)[1]
    if "Crashed 5 times" not in reason or "fatal: in no mood" not in reason:
        verdict.problem = f"error says {reason!r}"
        return verdict
    mend = ["-v", f"{volume}:/data", IMAGE, "sh", "-c", "echo well > /data/mood"]
    docker("run", "--rm", *mend)
    appliance.api("POST", f"/api/servers/{server.id}/start")
    shows(appliance, server, verdict, "running", says="")
    return verdict


def run_calm(appliance: Appliance, server: Created, *, makes_mistakes: bool) -> Verdict:
    """See that nothing is said against a server that is well, whatever its clients do."""
    verdict = Verdict(server.name)
    stop = time.monotonic() + 4 * INTERVAL_S
    while time.monotonic() < stop and not verdict.problem:
        if makes_mistakes:
            call(server, "no/such/method")
        found = status(appliance, server)
        if found != ("running", ""):
            verdict.problem = f"it is {found}"
        time.sleep(0.5)
    told = {step["name"]: step["detail"] for step in health(appliance, server)["steps"]}
    if told.get("calls") != "No call was seen.":
        verdict.problem = f"of calls it says {told.get('calls')!r}"
    return verdict


# -- what is said


def status(appliance: Appliance, server: Created) -> tuple[str, str]:
    found = appliance.api("GET", f"/api/servers/{server.id}")
    found = found.get("server", found)
    return found["status"], found["status_reason"]


def health(appliance: Appliance, server: Created) -> Any:
    return appliance.api("GET", f"/api/servers/{server.id}/health")


def shows(
    appliance: Appliance, server: Created, verdict: Verdict, wanted: str, *, says: str
) -> bool:
    """Wait for a status with its reason, and keep how long it took; too long is a problem."""
    began = time.monotonic()
    found = status(appliance, server)
    while found[0] != wanted or says not in found[1]:
        if time.monotonic() - began > 3 * INTERVAL_S:
            verdict.problem = f"not {wanted} ({says!r}) but {found}"
            return False
        time.sleep(0.1)
        found = status(appliance, server)
    verdict.seconds.append(time.monotonic() - began)
    if verdict.seconds[-1] > INTERVAL_S:
        verdict.problem = f"{wanted} only after {verdict.seconds[-1]:.1f} s"
    return True


def expect_history(
    appliance: Appliance, server: Created, says: str, verdict: Verdict
) -> None:
    """See that every change was kept with its reason."""
    kept = appliance.api("GET", f"/api/servers/{server.id}/status-history")["items"]
    bad = [item for item in kept if item["to"] == "degraded" and says in item["reason"]]
    good = [
        item for item in kept if (item["from"], item["to"]) == ("degraded", "running")
    ]
    if not verdict.problem and (len(bad), len(good)) != (ROUNDS, ROUNDS):
        verdict.problem = f"the history has {len(bad)} faults and {len(good)} repairs"


def await_check(appliance: Appliance, server: Created) -> None:
    """Wait until a check has just ended: from here on nothing is asked for as long as can be."""
    before = health(appliance, server)["checked_at"]
    until(lambda: health(appliance, server)["checked_at"] != before, "it is checked")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait.

    Raises:
        TimeoutError: It did not become so.
    """
    deadline = time.monotonic() + GIVES_UP_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {GIVES_UP_S} s: {what}")
        time.sleep(0.1)


# -- what is done to them


def docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def container(server: Created) -> str:
    """Return the container that runs it."""
    found = docker(
        "ps",
        "-q",
        "--no-trunc",
        "--filter",
        f"label=mcp-host.server={server.id}",
        "--filter",
        f"name=mcp-{server.name}-",
    ).split()
    return found[0]


def set_mood(server: Created, mood: str) -> None:
    """Write its mood into its volume."""
    docker("exec", container(server), "sh", "-c", f"echo {mood} > /data/mood")


def free(server: Created, mood: str) -> None:
    """End what hangs within the server, as the end of whatever it waited for would."""
    if mood == "hang":
        subprocess.run(
            ["docker", "exec", container(server), "killall", "sleep"],
            check=False,
            capture_output=True,
        )


@contextmanager
def called(server: Created, *, is_called: bool) -> Iterator[None]:
    """Call its tool twice a second, as a client does."""
    if not is_called:
        yield
        return
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.5):
            call(server, "tools/call", name="mood", arguments={})

    caller = threading.Thread(target=run, daemon=True)
    caller.start()
    try:
        yield
    finally:
        stop.set()
        caller.join()


def call(server: Created, method: str, **params: Any) -> None:
    """Send one request of the stateless era; whatever comes back is fine."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "proof", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {**params, "_meta": envelope},
    }
    headers = {
        "Authorization": f"Bearer {server.key}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
    }
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    request = urllib.request.Request(
        server.endpoint, json.dumps(body).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()
    except (urllib.error.URLError, TimeoutError):
        pass
