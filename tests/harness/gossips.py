"""A gateway before servers that tell everything they hear, and keys of several principals for each of them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from hypothesis import strategies as st

from appliance.core.ids import key_hash, new_key
from tests.fakes.mcp_box import ROOT, Box, stdio_container, wait_until
from tests.harness.isolation import SESSION, STATELESS, Person, World
from tests.harness.ports import free_port

SCRIPT = (ROOT / "tests/fakes/gossip.py").read_text()
ACTIONS = ("whisper", "repeat", "ask", "subscribe", "look", "read", "steal")
SERVERS = ("shared", "own", "web")
#: A bundle of two of them, through which its people use the second.
BUNDLE = "all"
PLACES = (*SERVERS, BUNDLE)
PRINCIPALS = ("endpoint", "owner", "admin", "hub")

#: What Hypothesis makes: who is there (place, principal, era), and what they do (person, action, other person).
casts = st.lists(
    st.tuples(
        st.sampled_from(PLACES),
        st.sampled_from(PRINCIPALS),
        st.sampled_from((SESSION, STATELESS)),
    ),
    min_size=2,
    max_size=6,
)
scripts = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(ACTIONS), st.integers(0, 5)),
    min_size=4,
    max_size=24,
)


@dataclass
class Gossips:
    """The gateway, and for each server its principals: name and key."""

    box: Box
    keys: dict[str, dict[str, tuple[str, str]]]

    def world(self, cast: list[tuple[str, str, str]]) -> World:
        """Return people for ``cast``, in this order."""
        people = []
        for number, (place, who, era) in enumerate(cast):
            principal, key = self.keys[place][who]
            is_bundle = place == BUNDLE
            people.append(
                Person(
                    name=f"{number}-{place}-{who}",
                    principal=principal,
                    key=key,
                    url=f"{self.box.url}/{'bundles' if is_bundle else 'servers'}/{place}/mcp",
                    era=era,
                    prefix="web__" if is_bundle else "",
                )
            )
        return World(people)


@contextmanager
def gossips(box: Box) -> Iterator[Gossips]:
    """Host three servers behind ``box``: stdio shared by all, stdio with a container a session, and HTTP with sessions."""
    with ExitStack() as stack:
        admin = box.add_user("admin")
        admin_key = box.add_user_key(admin)
        shared = stack.enter_context(stdio_container(script=SCRIPT))
        own = stack.enter_context(stdio_container(script=SCRIPT))
        address = stack.enter_context(_web())
        hosts: dict[str, Callable[[], str]] = {
            "shared": lambda: box.host_stdio("shared", shared),
            "own": lambda: box.host_stdio("own", own),
            "web": lambda: box.host_http("web", address),
        }
        keys = {}
        for name, host in hosts.items():
            endpoint = host()
            server_id = box.execute("SELECT id FROM servers WHERE name = %s", name)
            keys[name] = {
                "endpoint": (f"server:{server_id}", endpoint),
                "owner": (f"user:{box.owner}", box.add_user_key(box.owner)),
                "admin": (f"user:{admin}", admin_key),
                "hub": ("hub", box.internal_key),
            }
        box.execute(
            """UPDATE servers SET config = config || '{"session_mode": "shared"}' WHERE name = 'shared'"""
        )
        box.execute(
            """UPDATE servers SET config = config || '{"session_mode": "per-session"}' WHERE name = 'own'"""
        )
        keys[BUNDLE] = {
            "endpoint": _bundle(box, admin),
            "owner": (f"user:{admin}", admin_key),
            "admin": (f"user:{admin}", admin_key),
            "hub": ("hub", box.internal_key),
        }
        yield Gossips(box, keys)


def _bundle(box: Box, owner: int) -> tuple[str, str]:
    """Bundle two of the servers and return the principal and the key of its endpoint."""
    key = new_key("mcpb_")
    with box.one_transaction():
        bundle_id = box.execute(
            "INSERT INTO bundles (name, owner_id, endpoint_key_hash, endpoint_key_prefix) VALUES (%s, %s, %s, '') RETURNING id",
            BUNDLE,
            owner,
            key_hash(key),
        )
        for position, member in enumerate(("own", "web"), 1):
            box.execute(
                "INSERT INTO bundle_members (bundle_id, server_id, position, prefix)"
                " SELECT %s, id, %s, name FROM servers WHERE name = %s",
                bundle_id,
                position,
                member,
            )
    ask = {"Authorization": f"Bearer {key}"}
    wait_until(
        lambda: (
            box.get(f"/bundles/{BUNDLE}/mcp/server-card", ask)[0]
            != HTTPStatus.UNAUTHORIZED
        ),
        "the bundle is routed",
    )
    return f"bundle:{bundle_id}", key


@contextmanager
def _web() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.gossip_web", str(port)]
    with subprocess.Popen(command, cwd=Path(ROOT)) as server:
        probe = ["bash", "-c", f"</dev/tcp/127.0.0.1/{port}"]
        wait_until(
            lambda: (
                not subprocess.run(probe, capture_output=True, check=False).returncode
            ),
            "the HTTP gossip listens",
        )
        yield f"http://127.0.0.1:{port}/mcp"
        server.kill()
