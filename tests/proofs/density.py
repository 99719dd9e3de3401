"""100 idle stdio servers: at most 8 MB of memory each beyond the server's own process, and a hub that rests.

Counted, before and with the servers: the proportional set size of everything that is there because of them and is not the
server itself (the engine, containerd and its shims, docker-init, egress, hub, gateway and Postgres), and processor time of
the hub over a minute in which nobody asks anything; the engine's and the gateway's are told beside it.
"""

import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from appliance.artifacts.model import ATTEST
from appliance.core import labels
from tests.engine import docker
from tests.fakes import mcp_stdio
from tests.harness.appliance import Appliance, Created
from tests.harness.escapes import base_image, program_image
from tests.proofs.claim import hold
from tests.proofs.memory_at_rest import family, pss_mb

SERVERS = 100
LIMIT_MB = 8.0
LIMIT_CPU_PERCENT = 3.0
#: Until what starting takes is over (images are looked into one by one, ten seconds each on a busy box), and how long the
#: hub is watched.
SETTLE_S = 60
DONE_S = 1800
WATCHED_S = 60
#: Programs of the engine, by the name that the kernel has of them.
SHARED = {"dockerd", "containerd"}
EACH = {"containerd-shim", "docker-init", "docker-proxy"}


def prove() -> None:
    """Host the servers, let them rest, and add up."""
    server = Path(mcp_stdio.__file__)
    with (
        Appliance.temporary(gw_workers=2) as appliance,
        program_image(server, base_image(appliance)) as image,
    ):
        appliance.create("first", image=image)
        time.sleep(SETTLE_S)
        before = sizes(appliance)
        with many(appliance, image) as made:
            time.sleep(SETTLE_S)
            alive = running(appliance)
            hold(alive == SERVERS + 1, f"{alive} servers run, {SERVERS + 1} wanted")
            after = sizes(appliance)
            cost = told(before, after)
            until_done(appliance)
            spent = at_rest(appliance)
            print(f"own process of a server {own_mb(appliance, made[0]):6.2f} MB")
    hold(cost <= LIMIT_MB, f"memory a server {cost:5.2f} MB, at most {LIMIT_MB:g}")
    hold(
        spent <= LIMIT_CPU_PERCENT,
        f"hub at rest  {spent:5.2f} % of one core over {WATCHED_S} s, at most {LIMIT_CPU_PERCENT:g}",
    )


@contextmanager
def many(appliance: Appliance, image: str) -> Iterator[list[Created]]:
    """All the servers, running."""

    def host(number: int) -> Created:
        return appliance.create(f"idle-{number}-{secrets.token_hex(2)}", image=image)

    started = time.monotonic()
    made = [host(number) for number in range(SERVERS)]
    for server in made:
        appliance.wait_running(server)
    print(f"{SERVERS} servers run after {time.monotonic() - started:.0f} s")
    yield made
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda item: _delete(appliance, item.id), made))


def _delete(appliance: Appliance, server_id: int) -> None:
    with httpx.Client(timeout=60) as client:
        client.delete(
            f"{appliance.url}/api/servers/{server_id}",
            headers={"Authorization": f"Bearer {appliance.api_key}"},
        )


def until_done(appliance: Appliance) -> None:
    """Wait until all that follows a deployment is over: what is made in writing of an image is read from it, one by one."""
    deadline = time.monotonic() + DONE_S
    asked = (
        "SELECT count(*) FROM jobs WHERE kind = %s AND state IN ('queued', 'running')"
    )
    while (
        left := appliance.query(asked, ATTEST)[0][0]
    ) and time.monotonic() < deadline:
        time.sleep(2)
    hold(not left, "nothing is left to be done after the deployments")


def running(appliance: Appliance) -> int:
    """Return how many servers say that they run."""
    found = appliance.api("GET", "/api/servers?limit=200&status=running")
    return len(found["items"])


def sizes(appliance: Appliance) -> dict[str, float]:
    """Return what each program takes, in megabytes of proportional set size."""
    found: dict[str, float] = {}
    for pid, name in processes(appliance):
        found[name] = found.get(name, 0.0) + pss_mb(pid)
    for program in ("hub", "gateway", "postgres", "egress"):
        try:
            tree = family(appliance.pid(program))
        except LookupError:
            continue
        found[program] = sum(pss_mb(pid) for pid in tree)
    return found


def processes(appliance: Appliance) -> Iterator[tuple[int, str]]:
    """Yield the engine's programs on this box; of those that serve one container, the appliance's own."""
    owner = f"label={labels.OWNER}={appliance.owner}"
    containers = docker("ps", "-q", "--no-trunc", "--filter", owner).split()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            name = (directory / "comm").read_text().strip()
            whose = (directory / "cmdline").read_text() + (
                directory / "cgroup"
            ).read_text()
        except OSError:  # it ended while we looked
            continue
        is_ours = any(container in whose for container in containers)
        if name in SHARED or (name in EACH and is_ours):
            yield int(directory.name), name


def told(before: dict[str, float], after: dict[str, float]) -> float:
    """Print what each program takes more, and return the whole for one server."""
    total = 0.0
    for name in sorted(after):
        more = after[name] - before.get(name, 0.0)
        total += more
        print(
            f"{name:<16} {before.get(name, 0.0):7.1f} -> {after[name]:7.1f} MB, {more / SERVERS:6.3f} a server"
        )
    return total / SERVERS


def at_rest(appliance: Appliance) -> float:
    """Return the hub's share of one core over a minute, in percent; print that of others beside it."""
    watched = {
        name: family(appliance.pid(name))
        for name in ("hub", "gateway", "postgres", "egress")
    }
    watched["engine"] = [pid for pid, _ in processes(appliance)]
    before = {pid: cpu_s(pid) for tree in watched.values() for pid in tree}
    time.sleep(WATCHED_S)
    spent = {
        # One that ended in between is among what its parent waited for.
        name: sum(max(0.0, cpu_s(pid) - before[pid]) for pid in tree)
        for name, tree in watched.items()
    }
    for name, seconds in spent.items():
        print(f"{name:<16} {100 * seconds / WATCHED_S:6.2f} % of one core")
    return 100 * spent["hub"] / WATCHED_S


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process and its ended children have used; 0: it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def own_mb(appliance: Appliance, server: Created) -> float:
    """Return what the server's own process takes; it is not counted."""
    (container,) = appliance.containers(server.id)
    first = int(docker("inspect", "-f", "{{.State.Pid}}", container))
    return sum(pss_mb(pid) for pid in family(first)[1:])
