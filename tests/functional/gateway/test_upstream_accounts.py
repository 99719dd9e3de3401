"""Remote servers that want to know who calls, through a gateway as it really runs: each person with a token of their own.

The server behind is one of the Python SDK with its own authorization server (``tests/fixtures/signin_server``).
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import httpx
import pytest
from psycopg2.extras import Json

from appliance.accounts.model import MemberRole, Principal, Role
from appliance.core.upstreams import Mode
from appliance.infra.database import Database
from appliance.infra.memory_files import memory_root
from appliance.secrets.room import make_secrets, memory_files
from appliance.servers.signing_in import ServerStanding
from appliance.upstreams.errors import SigninExpiredError
from appliance.upstreams.model import Place
from appliance.upstreams.room import make_upstreams
from appliance.upstreams.service import UpstreamService
from tests.cluster import ThrowAwayCluster
from tests.fakes.mcp_box import ROOT, Box, tool_call, wait_until
from tests.functional.gateway.conftest import accepts
from tests.harness.ports import free_port

WHO = tool_call("whoami")
HUB = Place("http://hub.example.org:3000")


class Upstream:
    """The server, as its operator sees it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def seen(self) -> dict[str, Any]:
        with urlopen(f"{self.url}/seen", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def tell(self, what: str) -> None:
        httpx.post(f"{self.url}/{what}").raise_for_status()


class Scene:
    """A gateway, the part of the hub that signs people in, and the server."""

    def __init__(self, box: Box, upstream: Upstream, home: Path) -> None:
        self.box = box
        self.upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.database = Database(box.database_url, size=4)
        settings = box.settings.model_copy(
            update={"master_key_file": home / "master-keys.json"}
        )
        files = memory_files(settings)
        secrets = make_secrets(self.database, settings, files, None)  # type: ignore[arg-type]  # Vault alone asks by HTTP
        self.service: UpstreamService = make_upstreams(
            self.database,
            settings,
            secrets.keeper,
            files=files,
            standing=ServerStanding(),
        )
        self._watching = asyncio.run_coroutine_threadsafe(
            self.service.watch(), self._loop
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self._watching.cancel()
        self.run(asyncio.sleep(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self.database.close()

    # -- what people do

    def host(self) -> None:
        """Add the server, of an organisation, and find out that it wants people to sign in."""
        box = self.box
        self.key = box.host_http("notes", f"{self.upstream.url}/mcp", container_id="")
        self.server_id = box.execute("SELECT id FROM servers WHERE name = 'notes'")
        self.org_id = box.execute(
            "INSERT INTO orgs (name, created_by) VALUES ('team', 'x') RETURNING id"
        )
        source = Json({"remote_url": f"{self.upstream.url}/mcp"})
        box.execute("UPDATE servers SET org_id = %s, source = %s", self.org_id, source)
        status, refused = self.ask(box.internal_key)
        assert (status, refused["error"]["data"]["code"]) == (502, "upstream_unauthorized"), refused  # fmt: skip
        challenge = refused["error"]["data"]["challenge"]
        assert self.run(self.service.recognise(self.server_id, challenge))
        self.wait_mode()

    def wait_mode(self) -> None:
        wait_until(
            lambda: (
                "Needs sign-in" in str(self.ask(self.box.internal_key))
                or "needs a sign-in" in str(self.ask(self.box.internal_key))
            ),
            "the gateway knows it",
        )

    def person(self, role: MemberRole = MemberRole.DEPLOYER) -> tuple[Principal, str]:
        """Return somebody of the organisation, and a key of theirs."""
        user_id = self.box.add_user()
        self.box.execute(
            "INSERT INTO org_members (org_id, user_id, role, added_by) VALUES (%s, %s, %s, 'x')",
            self.org_id,
            user_id,
            role.value,
        )
        memberships = {self.org_id: role}
        principal = Principal(
            user_id, f"p{user_id}@x", Role.MEMBER, "session", 1, memberships=memberships
        )
        key = self.box.add_user_key(user_id)
        wait_until(lambda: self.ask(key)[0] == 200, "the gateway knows the key")
        return principal, key

    def way_back(self, principal: Principal) -> dict[str, str]:
        """Go to the authorization server, and return with what it was left."""
        url = self.run(self.service.begin(principal, "notes", HUB))
        back = httpx.get(url).headers["Location"]
        assert back.startswith(HUB.redirect_uri)
        return dict(parse_qsl(urlsplit(back).query))

    def connect(self, principal: Principal) -> Any:
        return self.run(self.service.finish(principal, self.way_back(principal)))

    def ask(self, key: str) -> tuple[int, Any]:
        return self.box.post("notes", WHO, key=key)

    def who(self, key: str) -> Any:
        status, answer = self.ask(key)
        assert status == 200, answer
        return answer["result"]["content"][0]["text"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    port = free_port()
    command = [sys.executable, "-m", "tests.fixtures.signin_server", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        wait_until(lambda: accepts(port), "the server listens", within_s=20)
        yield Upstream(port)
        server.kill()


@pytest.fixture(scope="module")
def module_box(cluster: ThrowAwayCluster, migrated_template: str) -> Iterator[Box]:
    cluster.execute(f"CREATE DATABASE accounts_elsewhere TEMPLATE {migrated_template}")
    home = Path(tempfile.mkdtemp(prefix="gw-", dir="/var/tmp"))
    box = Box(
        cluster.url("accounts_elsewhere"), home, remote_allow_private=True, gw_workers=1
    )
    box.start()
    yield box
    assert box.stop() == 0, box.log.read_text()
    if (memory := memory_root(home)) is not None:
        shutil.rmtree(memory, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)
    cluster.execute("DROP DATABASE accounts_elsewhere WITH (FORCE)")


@pytest.fixture
def scene(module_box: Box, upstream: Upstream, tmp_path: Path) -> Iterator[Scene]:
    module_box.forget_everything()
    made = Scene(module_box, upstream, tmp_path)
    made.host()
    yield made
    made.close()


def test_two_people_call_with_two_tokens_that_are_never_swapped(scene: Scene) -> None:
    (anna, annas), (ben, bens) = scene.person(), scene.person()
    stranger = scene.ask(annas)[1]["error"]
    names = {annas: "", bens: ""}
    for principal, key in ((anna, annas), (ben, bens)):
        scene.connect(principal)
        names[key] = scene.who(key)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(scene.who, [annas, bens] * 20))

    assert stranger["data"]["code"] == "signin_needed"
    assert stranger["data"]["url"].endswith("/servers/notes/account")
    assert len(set(names.values())) == 2
    assert found == [names[annas], names[bens]] * 20
    shown = scene.upstream.seen()["shown"]
    assert not {annas, bens, scene.key, scene.box.internal_key} & set(shown)


def test_a_key_that_is_no_persons_has_no_account_until_everybody_shares_one(
    scene: Scene,
) -> None:
    owner, key = scene.person(MemberRole.OWNER)
    scene.connect(owner)
    alone = scene.ask(scene.key)[1]["error"]

    scene.run(scene.service.set_mode(owner, "notes", Mode.SHARED))
    wait_until(lambda: "all share" in str(scene.ask(key)), "the gateway knows the mode")
    scene.connect(owner)

    assert "no person's" in alone["message"]
    assert scene.who(scene.key) == scene.who(key)
    status, listed = scene.box.post(
        "notes",
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        key=scene.box.internal_key,
    )
    assert (status, listed["result"]["tools"][0]["name"]) == (200, "whoami")


def test_a_token_that_is_not_taken_any_more_is_renewed_once_for_all_who_wait(
    scene: Scene,
) -> None:
    anna, key = scene.person()
    scene.connect(anna)
    name = scene.who(key)
    scene.upstream.tell("forget")

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: scene.who(key), range(6)))

    assert found == [name] * 6
    assert scene.upstream.seen()["renewals"][name] == 1
    (mine,) = scene.run(scene.service.mine(anna))
    assert (mine.serial, mine.state.value) == (2, "good")


def test_what_the_other_side_has_ended_says_so_and_is_connected_again(
    scene: Scene,
) -> None:
    anna, key = scene.person()
    scene.connect(anna)
    scene.who(key)
    scene.upstream.tell("end")

    refused = scene.ask(key)[1]["error"]
    (mine,) = scene.run(scene.service.mine(anna))
    scene.connect(anna)

    assert refused["data"]["code"] == "signin_needed"
    assert mine.state.value == "ended"
    assert "refresh" in mine.reason or "grant" in mine.reason or mine.reason
    assert scene.who(key).startswith("person-")


def test_a_disconnected_account_is_revoked_there_and_used_here_no_more(
    scene: Scene,
) -> None:
    anna, key = scene.person()
    made = scene.connect(anna)
    name = scene.who(key)

    scene.run(scene.service.disconnect(anna, made.id))

    assert scene.ask(key)[1]["error"]["data"]["code"] == "signin_needed"
    assert name in scene.upstream.seen()["revoked"]
    assert scene.box.execute("SELECT count(*) FROM sealed_values WHERE user_id IS NOT NULL") == 0  # fmt: skip


def test_a_sign_in_ends_in_the_browser_where_it_began_and_once(scene: Scene) -> None:
    (anna, _), (ben, _) = scene.person(), scene.person()
    stolen, good = scene.way_back(anna), scene.way_back(anna)

    with pytest.raises(SigninExpiredError):
        scene.run(scene.service.finish(ben, stolen))
    scene.run(scene.service.finish(anna, good))
    with pytest.raises(SigninExpiredError):
        scene.run(scene.service.finish(anna, good))


def test_a_client_that_opens_addresses_is_told_which(scene: Scene) -> None:
    _, key = scene.person()
    client: dict[str, Any] = {"capabilities": {"elicitation": {"url": {}}}}
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "clientInfo": {"name": "c", "version": "1"},
            **client,
        },
    }
    headers = {
        "Authorization": f"Bearer {key}",
        "Accept": "application/json, text/event-stream",
    }
    url = f"{scene.box.url}/servers/notes/mcp"

    opened = httpx.post(url, json=hello, headers=headers)
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
    refused = httpx.post(url, json=WHO, headers=headers | session).json()["error"]

    assert "needs a sign-in" in opened.json()["result"]["instructions"]
    assert refused["code"] == -32042
    (elicitation,) = refused["data"]["elicitations"]
    assert elicitation["mode"] == "url"
    assert elicitation["url"].endswith("/servers/notes/account")


def test_tokens_lie_sealed_in_the_database_and_in_no_log(scene: Scene) -> None:
    anna, key = scene.person()
    scene.connect(anna)
    scene.who(key)
    (token,) = scene.upstream.seen()["shown"][-1:]

    rows = scene.box.execute(
        "SELECT concat((SELECT json_agg(c)::text FROM upstream_connections c), (SELECT json_agg(s)::text FROM sealed_values s),"
        " (SELECT json_agg(a)::text FROM audit_events a), (SELECT json_agg(i)::text FROM invocations i))"
    )

    assert "connection.create" in rows
    for token in scene.upstream.seen()["shown"]:
        assert token not in rows
        assert token not in scene.box.log.read_text()
