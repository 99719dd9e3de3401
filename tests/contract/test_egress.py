"""No way out of a server's network but those that are allowed, on the real engine, with the real firewall."""

import asyncio
import json
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.core.egress import bridge_name, bridge_prefix
from appliance.egress.links import settings_are_read_only
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.model import InstanceSpec, Transport
from appliance.settings import load_settings
from tests.cluster import ThrowAwayCluster
from tests.engine import Box, docker
from tests.harness.egress import (
    OUTSIDE,
    POOL,
    Process,
    answering,
    box_address,
    outside,
)
from tests.harness.escapes_network import Surroundings, Way, attempt, ways
from tests.harness.hosted import ada, add_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVE = """
import socket
s = socket.create_server(("0.0.0.0", 8000))
while True:
    c, _ = s.accept()
    c.sendall(b"another")
    c.close()
"""


@dataclass
class Lab:
    """Two servers on one box, and the process that keeps them in."""

    process: Process
    server: int
    container: str
    other: int
    surroundings: Surroundings
    #: Port of this box at which something listens that servers may reach.
    service: int

    def inside(self, argv: list[str]) -> str:
        """Run a program in the server's container."""
        return docker("exec", self.container, *argv)

    def tried(self, **expressions: str) -> dict[str, str]:
        """Try expressions in the container and return what came of each."""
        return attempt(
            self.inside, [Way(name, way, None) for name, way in expressions.items()]
        )

    def until_told(
        self, destination: str, port: int, protocol: str, why: str = ""
    ) -> None:
        """Return as soon as it is told that it was denied, and why."""
        key = (destination, port, protocol)
        self.process.until(
            lambda: why in self.process.denied(self.server).get(key, "never tried")
        )


@pytest.fixture(scope="module")
def lab_url(cluster: ThrowAwayCluster, migrated_template: str) -> Iterator[str]:
    """The address of a migrated database for the whole file."""
    name = f"test_{secrets.token_hex(6)}"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield cluster.url(name)
    cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(
    lab_url: str, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lab]:
    """Two running servers, neither of which may go anywhere."""
    assert shutil.which("nft"), "this needs the package nftables"
    owner, directory = secrets.token_hex(6), tmp_path_factory.mktemp("egress")
    settings = load_settings(jwt_secret=secrets.token_hex(32), data_dir=directory)
    box = Box(owner, settings)
    engine = Engine()
    executor = DockerExecutor(engine, owner=owner, subnet_pool=POOL)
    try:
        with closing(Database(lab_url, size=2)) as database, answering() as listeners:
            one, other = await added(database, "one", "other")
            spec = InstanceSpec(
                server_id=one,
                server_name="one",
                deployment_id=1,
                image=base_image,
                transport=Transport.STREAMABLE_HTTP,
                arguments=("python3", "-c", SERVE),
            )
            first = await executor.start(spec)
            second = await executor.start(
                InstanceSpec(
                    **{
                        **spec.__dict__,
                        "server_id": other,
                        "server_name": "other",
                    }
                )
            )
            hub, service = listeners.tcp(), listeners.tcp()
            other_address = second.address.split("/")[2].partition(":")[0]
            process = Process(
                owner,
                lab_url,
                directory,
                own_ports=(hub,),
                hosts={
                    "service.test": box_address(),
                    "a.wild.test": box_address(),
                    "metadata.test": "169.254.169.254",
                    "neighbour.test": other_address,
                    "loopback.test": "127.0.0.1",
                    "public.test": OUTSIDE,
                },
            )
            bridge = first.address.split("/")[2].partition(":")[0].rsplit(".", 1)
            surroundings = Surroundings(
                bridge_address=f"{bridge[0]}.{int(bridge[1]) // 32 * 32 + 1}",
                box_address=box_address(),
                hub_port=hub,
                postgres_port=listeners.tcp(),
                engine_port=listeners.tcp(),
                udp_port=listeners.udp(),
                other_address=other_address,
                other_port=8000,
                other_name="other",
            )
            await asyncio.to_thread(process.start)
            yield Lab(process, one, first.container_id, other, surroundings, service)
            await asyncio.to_thread(process.remove)
    finally:
        await engine.close()
        await asyncio.to_thread(box.clear)


async def added(database: Database, *names: str) -> list[int]:
    """Add servers and return their ids."""
    user = await ada(database)
    return [(await database.run(add_server, user.id, name)).id for name in names]


async def test_every_way_out_fails_and_is_told(lab: Lab) -> None:
    tried = ways(lab.surroundings)
    lab.process.allow(lab.server, f"service.test:{lab.service}")

    found = attempt(lab.inside, tried)

    assert [name for name, came in found.items() if came == "got out"] == []
    for way in tried:
        if way.told:
            lab.until_told(*way.told)


async def test_what_is_allowed_passes_by_name_by_wildcard_and_by_address(
    lab: Lab,
) -> None:
    allowed = (
        f"service.test:{lab.service}",
        f"*.wild.test:{lab.service}",
        f"{box_address()}:{lab.service}",
    )
    lab.process.allow(lab.server, *allowed, private=allowed)

    found = lab.tried(
        name=f"tcp('service.test', {lab.service}, b'reachedhello')",
        wild=f"tcp('a.wild.test', {lab.service}, b'reachedhello')",
        address=f"tcp('{box_address()}', {lab.service}, b'reachedhello')",
        port=f"tcp('service.test', {lab.surroundings.postgres_port})",
        above=f"tcp('wild.test', {lab.service})",
        hub=f"tcp('{box_address()}', {lab.surroundings.hub_port})",
    )

    assert [found[key] for key in ("name", "wild", "address")] == ["got out"] * 3
    assert "got out" not in [found[key] for key in ("port", "above", "hub")], found
    lab.until_told(
        "service.test",
        lab.surroundings.postgres_port,
        "tcp",
        "the name is allowed on other ports",
    )
    lab.process.until(lambda: bool(went(lab, "service.test")))
    assert went(lab, "service.test") == [(5, 12)]


def went(lab: Lab, destination: str) -> list[tuple[int, int]]:
    """Return bytes sent and received of what was allowed."""
    rows = lab.process.rows(
        "SELECT bytes_sent, bytes_received FROM egress_attempts WHERE allowed AND destination = %s AND bytes_sent > 0",
        destination,
    )
    return [(int(sent), int(received)) for sent, received in rows]


async def test_an_allowed_name_does_not_lead_to_where_nobody_may_go(lab: Lab) -> None:
    hosts = (
        f"service.test:{lab.service}",
        "metadata.test:80",
        "neighbour.test:8000",
        f"loopback.test:{lab.service}",
        f"service.test:{lab.surroundings.hub_port}",
    )
    lab.process.allow(lab.server, *hosts, private=hosts[1:])

    found = lab.tried(
        private=f"tcp('service.test', {lab.service})",
        metadata="tcp('metadata.test', 80)",
        neighbour="tcp('neighbour.test', 8000)",
        loopback=f"tcp('loopback.test', {lab.service})",
        hub=f"tcp('service.test', {lab.surroundings.hub_port})",
    )

    assert "got out" not in found.values(), found
    lab.until_told("service.test", lab.service, "tcp", "private")
    lab.until_told("metadata.test", 80, "tcp", "never")
    lab.until_told("neighbour.test", 8000, "tcp", "another server")
    lab.until_told("loopback.test", lab.service, "tcp", "never")
    lab.until_told("service.test", lab.surroundings.hub_port, "tcp", "this appliance")


async def test_while_it_learns_a_denied_name_shows_its_port_and_stays_denied(
    lab: Lab,
) -> None:
    lab.process.allow(lab.server, learn=True)

    found = lab.tried(learned="tcp('api.learned.test', 8443)")

    assert "got out" not in found.values()
    lab.until_told("api.learned.test", 8443, "tcp")


async def test_a_public_address_is_reached_by_name_and_by_open_servers_alone(
    lab: Lab,
) -> None:
    with outside() as place:
        host, _, port = place.partition(":")
        by_address = f"tcp('{host}', {port}, b'outside')"
        by_name = f"tcp('public.test', {port}, b'outside')"
        lab.process.allow(lab.server, f"public.test:{port}")
        listed = lab.tried(name=by_name, address=by_address)
        lab.process.allow(lab.server, mode="open")
        opened = lab.tried(address=by_address)
        lab.process.allow(lab.server)
        closed = lab.tried(name=by_name, address=by_address)

    assert listed["name"] == opened["address"] == "got out", (listed, opened)
    assert "got out" not in (listed["address"], *closed.values())


async def test_an_open_server_still_reaches_nothing_private(lab: Lab) -> None:
    lab.process.allow(lab.server, mode="open")
    place = lab.surroundings

    found = lab.tried(
        box=f"tcp('{place.box_address}', {place.hub_port})",
        bridge=f"tcp('{place.bridge_address}', {place.hub_port})",
        other=f"tcp('{place.other_address}', 8000)",
        metadata="tcp('169.254.169.254', 80)",
        docker=f"tcp('172.17.0.1', {place.engine_port})",
    )

    assert "got out" not in found.values(), found
    lab.until_told(place.other_address, 8000, "tcp", "the address is private")
    lab.process.allow(lab.server)


@pytest.mark.skipif(
    settings_are_read_only(), reason="the kernel's settings are read-only here"
)
async def test_the_kernel_forwards_for_open_servers_alone(lab: Lab) -> None:
    lab.process.allow(lab.server, mode="open")
    lab.process.until(lambda: forwards(lab))
    lab.process.allow(lab.server)
    lab.process.until(lambda: not forwards(lab))


def forwards(lab: Lab) -> bool:
    """Return whether the kernel forwards what comes from the server's bridge."""
    bridge = bridge_name(bridge_prefix(lab.process.owner), lab.server)
    setting = Path(f"/proc/sys/net/ipv4/conf/{bridge}/forwarding")
    return setting.read_text().strip() == "1"


async def test_a_policy_that_is_taken_back_ends_what_it_allowed(lab: Lab) -> None:
    lab.process.allow(
        lab.server,
        f"service.test:{lab.service}",
        private=(f"service.test:{lab.service}",),
    )
    program = (
        "import socket, sys\n"
        f"c = socket.create_connection(('service.test', {lab.service}), 3)\n"
        "print('open', flush=True)\n"
        "c.settimeout(10)\n"
        "try:\n print('ended' if not c.recv(9) else 'data')\n"
        "except ConnectionResetError: print('cut')"
    )
    running = await asyncio.create_subprocess_exec(
        *("docker", "exec", lab.container, "python3", "-c", program),
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdout
    assert await running.stdout.readline() == b"open\n"

    await asyncio.to_thread(lab.process.allow, lab.server)

    assert await running.stdout.readline() == b"cut\n"
    await running.wait()


async def test_rules_that_somebody_removed_come_back(lab: Lab) -> None:
    nft = await asyncio.create_subprocess_exec(
        *("nft", "delete", "table", "inet", lab.process.table)
    )
    assert await nft.wait() == 0

    await asyncio.to_thread(lab.process.until, lambda: listed(lab))


def listed(lab: Lab) -> bool:
    """Return whether the table is there."""
    found = subprocess.run(
        ["nft", "list", "tables"], capture_output=True, text=True, check=True
    )
    return lab.process.table in found.stdout


async def test_without_the_process_it_stays_closed_and_without_postgres_it_knows_what_was_allowed(
    lab: Lab,
) -> None:
    allowed = (f"service.test:{lab.service}",)
    lab.process.allow(lab.server, *allowed, private=allowed)
    reach = {
        "allowed": f"tcp('service.test', {lab.service})",
        "raw": "tcp('1.1.1.1', 443)",
    }

    await asyncio.to_thread(lab.process.stop)
    away = lab.tried(**reach)
    reachable = lab.process.database_url
    lab.process.database_url = "postgresql://nobody@127.0.0.1:9/none"
    await asyncio.to_thread(lab.process.start, is_told=False)
    back = lab.tried(**reach)
    await asyncio.to_thread(lab.process.stop)
    lab.process.database_url = reachable
    await asyncio.to_thread(lab.process.start)

    assert "got out" not in away.values(), away
    assert back["allowed"] == "got out", json.dumps(back)
    assert back["raw"] != "got out"


def ports_taken(lab: Lab) -> list[int]:
    """Return the ports which the rules keep for the process, of TCP and of UDP."""
    shown = subprocess.run(
        ["nft", "list", "chain", "inet", lab.process.table, "strangers"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(port) for port in re.findall(r"dport (\d+)", shown.stdout)]


async def test_a_port_that_it_had_is_any_programs_when_it_is_gone(lab: Lab) -> None:
    """Its rules stay, and the kernel gives its port to whoever asks next."""
    port, _ = ports_taken(lab)

    await asyncio.to_thread(lab.process.stop)
    with socket.create_server(("127.0.0.1", port)) as other:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            taken, _ = other.accept()
        taken.close()
    await asyncio.to_thread(lab.process.start)
