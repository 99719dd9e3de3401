"""mcpctl as people and scripts run it: a process of its own, against a hub over HTTP."""

import asyncio
import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.builds import store as build_store
from appliance.builds.model import BuildLine, BuildRequest, BuildState, BuiltImage
from appliance.servers import store
from appliance.servers.model import Status
from appliance.sources.spec import parse_source
from tests.fakes.executor import SESSION
from tests.functional.hub import PASSWORD, Hub

Client = TestClient[Any, Any]
EMAIL = "admin@example.org"


@dataclass
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Terminal:
    """Runs mcpctl with a home of its own."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "XDG_CONFIG_HOME": str(home),
            "MCPCTL_URL": str(hub.server.make_url("/")),
        }

    def show_key(self, key: str) -> None:
        self._environment["MCPCTL_API_KEY"] = key

    async def run(self, *arguments: str, stdin: str = "") -> Done:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mcpctl",
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())


@pytest.fixture
def terminal(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal at which nobody is logged in."""
    return Terminal(hub, tmp_path)


@pytest.fixture
async def mine(hub: Hub, terminal: Terminal) -> Terminal:
    """A terminal of an administrator."""
    terminal.show_key(await hub.person(EMAIL))
    return terminal


async def test_login_keeps_a_key_and_not_the_password(
    hub: Hub, terminal: Terminal, tmp_path: Path
) -> None:
    await hub.services.accounts.register(EMAIL, PASSWORD)

    login = await terminal.run(
        "login", "--email", EMAIL, "--password-stdin", stdin=f"{PASSWORD}\n"
    )
    whoami = await terminal.run("whoami", "--json")

    assert (login.code, whoami.code) == (0, 0), login.err
    assert whoami.json()["email"] == EMAIL
    assert whoami.json()["via"] == "api_key"
    stored = tmp_path / "mcpctl" / "config.json"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert PASSWORD not in stored.read_text()
    principal = await hub.services.accounts.keys.authenticate(
        json.loads(stored.read_text())["api_key"]
    )
    assert await hub.services.accounts.sessions.list(principal) == []


async def test_logout_revokes_the_key(hub: Hub, terminal: Terminal) -> None:
    await hub.services.accounts.register(EMAIL, PASSWORD)
    await terminal.run("login", "--email", EMAIL, "--password-stdin", stdin=PASSWORD)

    logout = await terminal.run("logout")
    after = await terminal.run("whoami")

    assert logout.code == 0
    assert after.code == 4
    assert "mcpctl login" in after.err


async def test_a_wrong_password_is_told_with_the_request_id(
    hub: Hub, terminal: Terminal
) -> None:
    await hub.services.accounts.register(EMAIL, PASSWORD)

    done = await terminal.run(
        "login", "--email", EMAIL, "--password-stdin", stdin="wrong"
    )

    assert done.code == 1
    assert "do not belong together" in done.err
    assert "request id: " in done.err


async def test_no_hub_is_exit_code_3(terminal: Terminal, tmp_path: Path) -> None:
    terminal._environment |= {
        "MCPCTL_URL": "http://127.0.0.1:5501",
        "MCPCTL_API_KEY": "x",
    }

    done = await terminal.run("servers", "list")

    assert done.code == 3
    assert "hint: " in done.err
    assert not (tmp_path / "mcpctl").exists()


async def test_a_server_is_created_listed_shown_and_deleted(mine: Terminal) -> None:
    created = await mine.run(
        "servers",
        "create",
        "clock",
        "--package",
        "pypi:mcp-server-time",
        "--arg=--local-timezone=UTC",
        "--env",
        "TZ=UTC",
        "--memory",
        "256m",
        "--tool",
        "convert_time",
        "--pinning",
        "quarantine",
    )
    listed = await mine.run("servers", "list")
    shown = await mine.run("servers", "show", "clock", "--json")
    deleted = await mine.run("servers", "delete", "clock", "--yes")

    assert created.code == 0, created.err
    key = next(w for w in created.out.split() if w.startswith("mcps_"))
    assert f"Bearer {key}" in created.out  # the snippet is ready to paste
    assert "clock" in listed.out
    assert "queued" in listed.out
    assert "\x1b" not in listed.out  # a pipe gets no colours
    config = shown.json()["config"]
    assert config["arguments"] == ["--local-timezone=UTC"]
    assert config["environment"] == {"TZ": "UTC"}
    assert config["memory_limit"] == 256 * 1024**2
    assert config["tools"] == ["convert_time"]
    assert config["pinning"] == "quarantine"
    assert deleted.code == 0


async def test_bad_input_names_its_field(mine: Terminal) -> None:
    for_people = await mine.run("servers", "create", "--package", "nonsense")
    for_programs = await mine.run(
        "servers", "create", "--package", "nonsense", "--json"
    )

    assert (for_people.code, for_programs.code) == (1, 1)
    assert "  package: " in for_people.err
    assert json.loads(for_programs.err)["errors"][0]["field"] == "package"


@pytest.mark.parametrize(
    "arguments",
    [
        ("servers", "create"),
        ("servers", "create", "--package", "a", "--image", "b"),
        ("servers", "create", "--package", "a", "--env", "x"),
        ("nothing",),
        ("servers", "logs", "x", "-n", "0"),
    ],
)
async def test_a_wrong_command_line_is_exit_code_2(
    mine: Terminal, arguments: tuple[str, ...]
) -> None:
    assert (await mine.run(*arguments)).code == 2


async def test_delete_asks_first(mine: Terminal) -> None:
    await mine.run("servers", "create", "clock", "--package", "pypi:x")

    refused = await mine.run("servers", "delete", "clock", stdin="n\n")
    shown = await mine.run("servers", "show", "clock", "--json")

    assert refused.code == 130
    assert shown.json()["desired_state"] == "running"


async def _build(hub: Hub, *, end: Status, reason: str = "") -> None:
    """Do to the only server what the reconciler does, one step after the other."""
    database = hub.database
    while not (ids := await database.run(store.all_ids)):
        await asyncio.sleep(0.05)
    (server_id,) = ids
    deployment = await database.run(store.deployment_in, server_id)
    assert deployment is not None
    source = parse_source({"package": "pypi:x"})
    request = BuildRequest(deployment.id, server_id, "clock", source)
    await asyncio.sleep(0.3)
    await database.run(store.set_status, server_id, Status.BUILDING)
    build = (await database.run(build_store.begin, request)).view
    for number in (1, 2):
        line = BuildLine(number, f"step {number}\x1b[2J")
        await database.run(build_store.append, build.id, server_id, [line])
        await asyncio.sleep(0.2)
    if end is Status.RUNNING:
        built = BuiltImage("sha256:x", {"version": "1.0"})
        await database.run(
            build_store.succeed, build, tag="x:1", built=built, platforms=[]
        )
    else:
        await database.run(build_store.end, build, BuildState.FAILED, reason)
    await database.run(store.set_status, server_id, end, reason)


async def test_containers_of_sessions_are_shown(mine: Terminal) -> None:
    await mine.run(
        *("servers", "create", "clock", "--package", "pypi:x"),
        *("--session-mode", "per-session"),
    )

    shown = await mine.run("servers", "show", "clock", "--json")
    listed = await mine.run("servers", "sessions", "clock")

    assert shown.json()["config"]["session_mode"] == "per-session"
    assert SESSION.session in listed.out


async def test_create_shows_the_live_build_and_ends_with_the_endpoint(
    hub: Hub, mine: Terminal
) -> None:
    building = asyncio.create_task(_build(hub, end=Status.RUNNING))

    done = await mine.run("servers", "create", "clock", "--package", "pypi:x", "--wait")
    await building

    assert done.code == 0, done.err
    assert "==> building" in done.err
    assert done.err.index("step 1") < done.err.index("step 2")
    assert "\x1b" not in done.err  # what a build prints cannot move the cursor
    assert done.err.count("step 1") == 1
    assert "/servers/clock/mcp" in done.out
    assert "mcpServers" in done.out


async def test_a_redeployment_shows_its_own_build_from_the_first_line(
    hub: Hub, mine: Terminal
) -> None:
    await mine.run("servers", "create", "clock", "--package", "pypi:x")
    await _build(hub, end=Status.RUNNING)

    waiting = asyncio.create_task(mine.run("servers", "redeploy", "clock", "--wait"))
    while (await hub.database.run(store.deployments, 1))[0].number == 1:
        await asyncio.sleep(0.05)
    await _build(hub, end=Status.RUNNING)
    done = await waiting

    assert done.code == 0, done.err
    assert done.err.count("step 1") == 1
    assert done.err.count("step 2") == 1


async def test_create_that_fails_ends_with_the_reason_and_exit_code_1(
    hub: Hub, mine: Terminal
) -> None:
    building = asyncio.create_task(
        _build(hub, end=Status.ERROR, reason="PyPI has no package x.")
    )

    done = await mine.run("servers", "create", "clock", "--package", "pypi:x", "--wait")
    await building

    assert done.code == 1
    assert "PyPI has no package x." in done.err
    assert "build-log clock" in done.err


async def test_the_build_log_is_followed_to_its_end(hub: Hub, mine: Terminal) -> None:
    await mine.run("servers", "create", "clock", "--package", "pypi:x")
    await _build(hub, end=Status.RUNNING)

    stored = await mine.run("servers", "build-log", "clock")
    followed = await mine.run("servers", "build-log", "clock", "-f")

    assert stored.code == 0, stored.err
    assert "step 1" in stored.out
    assert "succeeded" in stored.err
    assert followed.out == stored.out


async def test_keys_are_made_listed_and_revoked(mine: Terminal) -> None:
    made = await mine.run("keys", "create", "laptop", "--json")
    listed = await mine.run("keys", "list")
    revoked = await mine.run("keys", "revoke", str(made.json()["id"]))

    assert made.json()["key"].startswith("mcph_")
    assert "laptop" in listed.out
    assert made.json()["key"] not in listed.out
    assert revoked.code == 0


async def test_a_key_is_limited(mine: Terminal) -> None:
    made = await mine.run("keys", "create", "bot", "--calls-per-second", "5", "--json")
    key_id = str(made.json()["id"])

    changed = await mine.run("keys", "limit", key_id, "--concurrency", "2")
    listed = await mine.run("keys", "list", "--json")

    assert made.json()["limits"] == {"calls_per_second": 5.0, "concurrency": None}
    assert "2 at once" in changed.out
    assert {"calls_per_second": None, "concurrency": 2} in [
        item["limits"] for item in listed.json()["items"]
    ]


async def test_jobs_are_listed_shown_and_cancelled(hub: Hub, mine: Terminal) -> None:
    job_id = str(await hub.services.jobs.enqueue("test.work", {}))

    listed = await mine.run("jobs", "list", "--kind", "test.work")
    cancelled = await mine.run("jobs", "cancel", job_id)
    shown = await mine.run("jobs", "show", job_id, "--json")

    assert "test.work" in listed.out
    assert cancelled.code == 0
    assert shown.json()["state"] == "cancelled"


async def test_connect_fills_in_a_key(mine: Terminal) -> None:
    await mine.run("servers", "create", "clock", "--package", "pypi:x")

    done = await mine.run(
        "servers", "connect", "clock", "--client", "cursor", "--key", "mcps_mine"
    )

    server = done.json()["mcpServers"]["clock"]
    assert server["headers"] == {"Authorization": "Bearer mcps_mine"}


async def test_connect_lists_the_clients_and_says_which_asks_for_the_key(
    mine: Terminal,
) -> None:
    await mine.run("servers", "create", "clock", "--package", "pypi:x")

    listed = await mine.run("servers", "connect", "clock", "--client", "list")
    asking = await mine.run(
        "servers", "connect", "clock", "--client", "vscode", "--key", "mcps_mine"
    )

    assert "codex" in listed.out
    assert "mcps_mine" not in asking.out
    assert "asks for the key itself" in asking.err


async def test_health_and_version_need_no_key(terminal: Terminal) -> None:
    health = await terminal.run("health", "--json")
    version = await terminal.run("version", "--json")

    assert (health.code, health.json()["status"]) == (0, "ok")
    assert set(version.json()) == {"mcpctl", "hub"}
    assert version.json()["hub"]


async def test_every_command_is_documented(terminal: Terminal) -> None:
    text = (Path(__file__).parents[2] / "docs" / "mcpctl.md").read_text()
    top = (await terminal.run("--help")).out.partition("Commands:")[2]
    below = (await terminal.run("servers", "--help")).out.partition("Commands:")[2]

    names = [line.split()[0] for line in (top + below).splitlines() if line.strip()]

    assert len(names) > 15
    assert [name for name in names if name not in text] == []
