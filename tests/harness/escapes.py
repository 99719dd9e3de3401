"""Ways out of a hosted server's container, tried by the server itself, each through a real call of one of its tools."""

import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from appliance.core import labels
from tests.engine import docker
from tests.fakes import mcp_hostile
from tests.harness.appliance import Appliance, Created
from tests.harness.egress import answering, box_address
from tests.harness.escapes_network import Surroundings, Way, attempt, ways
from tests.harness.mcp import HttpMcp

MIB = 1024**2
DATA_BYTES = 32 * MIB
LIMITS: dict[str, Any] = {
    "memory_limit": "128m",
    "isolation": {"pids": 64, "files": 256, "data_bytes": DATA_BYTES},
}
#: What counts up when a trick runs into a limit, as the server's page tells it.
HITS = {"processes", "memory", "data"}
#: Of the listeners that stand for what listens on this box.
#: Below those that the kernel gives to whoever connects.
PORTS = {"hub": 21410, "postgres": 21411, "engine": 21412, "udp": 21413}
#: Something that a neighbour would hear of: it answers everybody on its network.
LISTEN = ["sh", "-c", "python3 -m http.server 8000 >/dev/null 2>&1 &"]
_PROGRAM = """\
FROM {base}
COPY {name} /srv/
ENTRYPOINT ["python3", "/srv/{name}"]
"""


_BASE = re.compile(r"mcp-host/base:[0-9a-f]+")


@dataclass(frozen=True)
class Outcome:
    """What came of one trick."""

    name: str
    #: Whether it led somewhere.
    got_out: bool
    said: str


@contextmanager
def program_image(program: Path, base: str) -> Iterator[str]:
    """An image that runs one Python file, made from the appliance's own base."""
    tag = f"mcp-host-test/program:{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, program.name).write_text(program.read_text())
        Path(directory, "Dockerfile").write_text(
            _PROGRAM.format(base=base, name=program.name)
        )
        docker("build", "-q", "-t", tag, directory)
    try:
        yield tag
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], check=False, capture_output=True)


def base_image(appliance: Appliance) -> str:
    """Return the base that this box has, or have it made."""
    label = f"label={labels.BASE}"
    listed = docker("images", "--filter", label, "--format", "{{.Repository}}:{{.Tag}}")
    # Those of other architectures carry them in their tags.
    found = [item for item in listed.split() if _BASE.fullmatch(item)]
    return found[0] if found else appliance.warm_up()


@contextmanager
def hosted(appliance: Appliance, **isolation: Any) -> Iterator[tuple[Created, Created]]:
    """The hostile server, and a neighbour that listens; neither may go anywhere.

    Args:
        isolation: Beside the limits of ``LIMITS``.
    """
    limits = LIMITS | {"isolation": {**LIMITS["isolation"], **isolation}}
    program = Path(mcp_hostile.__file__)
    with program_image(program, base_image(appliance)) as image:
        made = [
            appliance.create(f"{name}-{secrets.token_hex(3)}", image=image, **limits)
            for name in ("hostile", "neighbour")
        ]
        try:
            for server in made:
                appliance.api(
                    "PUT", f"/api/servers/{server.id}/egress", {"mode": "allow-list"}
                )
                appliance.wait_running(server)
            with session(made[1]) as client:
                client.call("run", argv=LISTEN)
            yield made[0], made[1]
        finally:
            for server in made:
                appliance.delete(server.id)


@contextmanager
def session(server: Created) -> Iterator[HttpMcp]:
    """A client of the server."""
    with HttpMcp(server.endpoint, server.key, timeout_s=90) as client:
        client.initialize()
        yield client


def arguments(outside: Path) -> dict[str, dict[str, Any]]:
    """Return what tricks are told.

    Args:
        outside: A file of this box that no server may read.
    """
    return {
        "read_host": {"path": str(outside)},
        "fill_disk": {"bytes": 4 * DATA_BYTES},
        "claim_disk": {"bytes": 4 * DATA_BYTES},
        "exhaust_memory": {"mib": 512},
    }


def tried(
    client: HttpMcp, outside: Path, *, but: Collection[str] = ()
) -> list[Outcome]:
    """Have the server try every trick and return what came of each.

    Args:
        client: Of the server.
        outside: A file of this box that no server may read.
        but: Tricks that are left out.
    """
    told = arguments(outside)
    found = []
    for name in (trick.__name__ for trick in mcp_hostile.TRICKS):
        if name not in but:
            answer = client.call(name, **told.get(name, {}))
            said = answer["content"][0]["text"]
            found.append(Outcome(name, not answer["isError"], said))
    return found


def died_of(client: HttpMcp, name: str, outside: Path) -> Outcome:
    """Have the server try a trick that may end it as a whole, which is a refusal too."""
    try:
        answer = client.call(name, **arguments(outside).get(name, {}))
    except httpx.HTTPError as error:
        return Outcome(name, got_out=False, said=f"refused: it ended ({error!s:.40})")
    return Outcome(name, not answer["isError"], answer["content"][0]["text"])


def network_tried(
    client: HttpMcp, appliance: Appliance, server: Created, neighbour: Created
) -> tuple[list[Way], list[Outcome]]:
    """Have the server try every way out of its network and return the ways and what came of each."""
    place = surroundings(appliance, server, neighbour)

    def inside(argv: list[str]) -> str:
        return str(client.call("run", argv=argv)["content"][0]["text"])

    with answering() as listeners:
        for name in ("hub", "postgres", "engine"):
            listeners.tcp(PORTS[name])
        listeners.udp(PORTS["udp"])
        all_ways = ways(place)
        came = attempt(inside, all_ways)
    return all_ways, [
        Outcome(name, said == "got out", said) for name, said in came.items()
    ]


def surroundings(
    appliance: Appliance, server: Created, neighbour: Created
) -> Surroundings:
    """Return what lies around the server's container."""
    (own,), (other,) = (appliance.containers(item.id) for item in (server, neighbour))
    return Surroundings(
        bridge_address=bridge_address(own),
        box_address=box_address(),
        hub_port=PORTS["hub"],
        postgres_port=PORTS["postgres"],
        engine_port=PORTS["engine"],
        udp_port=PORTS["udp"],
        other_address=address(other),
        other_port=8000,
        other_name=neighbour.name,
    )


def address(container: str) -> str:
    """Return where a container is on its own network."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", "-f", template, container)


def bridge_address(container: str) -> str:
    """Return the address that this box has on a container's network."""
    first, last = address(container).rsplit(".", 1)
    return f"{first}.{int(last) // 32 * 32 + 1}"


def until_on_the_page(
    appliance: Appliance, server: Created, all_ways: list[Way], *, within_s: float = 45
) -> list[str]:
    """Wait until the server's page tells of every limit and every denied destination, and return what it never told."""
    deadline = time.monotonic() + within_s
    while missing := untold(appliance, server, all_ways):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return missing


def untold(appliance: Appliance, server: Created, all_ways: list[Way]) -> list[str]:
    """Return what the server's page does not tell now: limits, calls that were refused, and destinations that were denied."""
    place = f"/api/servers/{server.id}"
    hits = {
        item["limit"] for item in appliance.api("GET", f"{place}/isolation")["hits"]
    }
    calls = appliance.api(
        "GET", f"{place}/invocations?limit=200&error_class=tool_error"
    )["items"]
    refused = {item["target"] for item in calls}
    tricks = {trick.__name__ for trick in mcp_hostile.TRICKS}
    missing = [f"limit {item}" for item in sorted(HITS - hits)]
    missing += [f"call {item}" for item in sorted(tricks - refused)]
    if all_ways:
        found = appliance.api("GET", f"{place}/egress/denied")["items"]
        denied = {
            (item["destination"], item["port"], item["protocol"]) for item in found
        }
        missing += [
            f"denied {way.name} {way.told}"
            for way in all_ways
            if way.told and way.told not in denied
        ]
    return missing
