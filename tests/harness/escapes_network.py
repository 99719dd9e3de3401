"""Ways out of a server's network, each to be tried from inside a container; every one must fail and be told.

A way is a Python expression that is true when it led somewhere. All are tried by one program, so that a container pays for
one interpreter.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

_HELPERS = r"""
import json, os, socket, struct, sys
def tcp(host, port, said=None):
    with socket.create_connection((host, port), 3) as c:
        c.settimeout(3)
        c.sendall(b"hello")
        got = c.recv(100)
        return bool(got) if said is None else got == said
def udp(host, port, data=b"hello"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
        c.settimeout(1)
        c.connect((host, port))
        c.send(data)
        return bool(c.recv(100))
def icmp(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as c:
        c.settimeout(1)
        c.sendto(b"\x08\0\0\0\0\1\0\1hello", (host, 1))
        return bool(c.recv(100))
def ask(resolver, name, kind):
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
        c.settimeout(1)
        c.connect((resolver, 53))
        c.send(os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", kind, 1))
        answer = c.recv(1000)
        return answer[3] & 15 == 0 and answer[7] > 0
def resolves(name):
    return bool(socket.gethostbyname(name))
def route():
    import fcntl
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
        fcntl.ioctl(c, 0x890B, b"\0" * 120)
    return True
found = {}
for name, way in json.loads(sys.argv[1]).items():
    try:
        found[name] = "got out" if eval(way) else "nothing"
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""

#: Runs argv in the container and returns what it printed.
Inside = Callable[[list[str]], str]


@dataclass(frozen=True)
class Way:
    """One way out."""

    name: str
    #: Python, true when it led somewhere.
    expression: str
    #: Destination, port and protocol as the server's page tells them; ``None``: nothing is seen of it outside.
    told: tuple[str, int, str] | None


@dataclass(frozen=True)
class Surroundings:
    """What lies around the container. All the listeners answer whoever reaches them."""

    #: Of this box on the server's own bridge, and elsewhere.
    bridge_address: str
    box_address: str
    #: TCP ports at which the hub, Postgres and the engine's API listen on every address of this box.
    hub_port: int
    postgres_port: int
    engine_port: int
    #: UDP port of this box that answers.
    udp_port: int
    #: Another server's container and the port that it listens at.
    other_address: str
    other_port: int
    other_name: str


def ways(place: Surroundings) -> list[Way]:
    """Return every way that leads out of a network on which nothing is allowed."""
    at, box = place.bridge_address, place.box_address
    tunnel = "x" * 60 + "." + "y" * 60 + ".tunnel.example"
    return [
        Way("raw IP", "tcp('1.1.1.1', 443)", ("1.1.1.1", 443, "tcp")),
        Way("UDP", "udp('1.1.1.1', 4433)", ("1.1.1.1", 4433, "udp")),
        Way(
            "UDP to this box",
            f"udp('{box}', {place.udp_port})",
            (box, place.udp_port, "udp"),
        ),
        Way("ICMP", "icmp('1.1.1.1')", ("1.1.1.1", 0, "icmp")),
        Way("ICMP to this box", f"icmp('{at}')", (at, 0, "icmp")),
        Way(
            "metadata address",
            "tcp('169.254.169.254', 80)",
            ("169.254.169.254", 80, "tcp"),
        ),
        Way(
            "tunnel by names", f"ask('198.18.0.53', '{tunnel}', 16)", (tunnel, 0, "dns")
        ),
        Way(
            "tunnel by the engine's resolver",
            f"resolves('{tunnel[1:]}')",
            (tunnel[1:], 0, "dns"),
        ),
        Way(
            "another resolver",
            f"ask('8.8.8.8', '{tunnel}', 16)",
            ("8.8.8.8", 53, "udp"),
        ),
        Way("another resolver over TCP", "tcp('8.8.8.8', 53)", ("8.8.8.8", 53, "tcp")),
        Way(
            "a name that is not allowed",
            "tcp('denied.test', 443)",
            ("denied.test", 0, "dns"),
        ),
        Way(
            "another server",
            f"tcp('{place.other_address}', {place.other_port})",
            (place.other_address, place.other_port, "tcp"),
        ),
        Way(
            "another server by name",
            f"tcp('{place.other_name}', {place.other_port})",
            (place.other_name, 0, "dns"),
        ),
        Way("the hub", f"tcp('{at}', {place.hub_port})", (at, place.hub_port, "tcp")),
        Way(
            "the hub on another address",
            f"tcp('{box}', {place.hub_port})",
            (box, place.hub_port, "tcp"),
        ),
        Way(
            "Postgres",
            f"tcp('{at}', {place.postgres_port})",
            (at, place.postgres_port, "tcp"),
        ),
        Way(
            "the engine's API",
            f"tcp('{at}', {place.engine_port})",
            (at, place.engine_port, "tcp"),
        ),
        Way("the engine's socket", "os.stat('/var/run/docker.sock')", None),
        Way("a route of its own", "route()", None),
    ]


def attempt(inside: Inside, tried: list[Way]) -> dict[str, str]:
    """Try every way and return what came of each, by its name; ``got out`` must not be among them."""
    named = {way.name: way.expression for way in tried}
    found: dict[str, str] = json.loads(
        inside(["python3", "-c", _HELPERS, json.dumps(named)])
    )
    return found
