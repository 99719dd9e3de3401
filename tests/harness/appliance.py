"""One throw-away appliance: the processes that an operator runs, under supervisord, in a directory and on ports of its own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from appliance.infra.memory_files import memory_root

ROOT = Path(__file__).parent.parent.parent
AS_INSTALLED = Path(__file__).parent / "as_installed"
READY_S = 90
BUILD_S = 300


@dataclass(frozen=True)
class Created:
    """A server that was asked for."""

    id: int
    name: str
    endpoint: str
    key: str


class Appliance:
    """A running appliance. Everything it leaves on the engine is removed when it stops."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.environment = environment
        #: What ``mcp-host`` is.
        self.program: list[str] = [sys.executable, "-m", "appliance"]
        self.url = f"http://127.0.0.1:{environment['BIND_PORT']}"
        self.gateway_url = environment["MCP_GATEWAY_URL"]
        self.email = "admin@example.org"
        self.password = secrets.token_urlsafe(16)
        self._client = httpx.Client(base_url=self.url, timeout=30)

    @classmethod
    @contextmanager
    def temporary(
        cls, program: list[str] | None = None, /, **settings: object
    ) -> Iterator["Appliance"]:
        """Start an appliance, sign in as its first administrator, and take everything away at the end.

        Args:
            program: What ``mcp-host`` is, unless that of this checkout.
            settings: More settings, names in lower case.
        """
        home = Path(tempfile.mkdtemp(prefix="mcp-host-", dir="/var/tmp"))
        home.chmod(0o755)  # Postgres runs as somebody else when we are root
        environment = _environment(home, settings)
        appliance = cls(home, environment)
        appliance.program = program or appliance.program
        try:
            appliance.up()
            appliance.sign_in()
            yield appliance
        finally:
            appliance.tear_down()

    # -- processes

    def up(self) -> None:
        """Start everything and wait until it is ready."""
        self.command("up")
        deadline = time.monotonic() + READY_S
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {READY_S} s:\n{self.logs()}")
            time.sleep(0.1)

    def command(
        self, *arguments: str, stdin: str | None = None, within_s: float = READY_S
    ) -> str:
        """Run ``mcp-host`` with this appliance's settings and return what it printed."""
        done = subprocess.run(
            [*self.program, *arguments],
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=within_s,
        )
        if done.returncode:
            raise RuntimeError(
                f"mcp-host {' '.join(arguments)}: {done.stderr or done.stdout}"
            )
        return done.stdout

    def _is_ready(self) -> bool:
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def logs(self) -> str:
        """Return the end of every process's log."""
        found = sorted(self.home.rglob("*.log"))
        return "\n".join(
            f"== {path.name}\n{path.read_text()[-3000:]}" for path in found
        )

    def pid(self, program: str) -> int:
        """Return the process id of ``hub``, ``gateway`` or ``postgres``."""
        for line in self.command("status").splitlines():
            words = line.replace(",", " ").split()
            if words and words[0] == program and "pid" in words:
                return int(words[words.index("pid") + 1])
        raise LookupError(f"{program} does not run:\n{self.command('status')}")

    def pids(self, program: str) -> list[int]:
        """Return what to kill for ``program``, which may also be ``bridge``, or ``workers`` for all of them."""
        if program not in {"workers", "bridge"}:
            return [self.pid(program)]
        prefix = "mcp-" + program.removesuffix("s")
        master = self.pid("gateway")
        children = [
            child
            for task in Path(f"/proc/{master}/task").glob("*/children")
            for child in task.read_text().split()
            if Path(f"/proc/{child}/comm").read_text().startswith(prefix)
        ]
        if not children:
            raise LookupError(f"the gateway has no {program}")
        return [int(child) for child in children]

    def kill(self, program: str) -> None:
        """End it as the kernel does when memory runs out."""
        for pid in self.pids(program):
            os.kill(pid, signal.SIGKILL)

    def tear_down(self) -> None:
        """Delete every server, stop every process and remove the directory."""
        try:
            self._delete_everything()
        except (httpx.HTTPError, AssertionError, TimeoutError):
            pass  # the engine is swept below, whatever state the hub is in
        finally:
            self._client.close()
            for command in (["down"], ["egress", "--remove"]):
                subprocess.run(
                    [*self.program, *command],
                    env=self.environment,
                    cwd=self.home,
                    check=False,
                    capture_output=True,
                )
            self._sweep_engine()
            self._sweep_disks()
            shutil.rmtree(self.home, ignore_errors=True)
            if (memory := memory_root(Path(self.environment["RUN_DIR"]))) is not None:
                shutil.rmtree(memory, ignore_errors=True)

    def _delete_everything(self) -> None:
        for server in self.api("GET", "/api/servers?limit=200")["items"]:
            self.delete(server["id"])

    def _sweep_engine(self) -> None:
        label = f"label=mcp-host.owner={self.owner}"
        for kind, remove in (
            ("container", ["rm", "-fv"]),
            ("network", ["network", "rm"]),
            ("volume", ["volume", "rm", "-f"]),
        ):
            listing = (
                ["docker", "ps", "-aq"]
                if kind == "container"
                else ["docker", kind, "ls", "-q"]
            )
            found = subprocess.run(
                [*listing, "--filter", label],
                capture_output=True,
                text=True,
                check=False,
            ).stdout.split()
            if found:
                subprocess.run(
                    ["docker", *remove, *found], capture_output=True, check=False
                )

    def _sweep_disks(self) -> None:
        """Detach the disks of servers that could not be deleted."""
        listed = subprocess.run(
            ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for line in listed.splitlines():
            device, _, file = line.partition(" ")
            if file.strip().startswith(f"{self.home}/"):
                subprocess.run(["losetup", "--detach", device], check=False)

    @property
    def owner(self) -> str:
        """The label value by which this appliance knows its own on the engine."""
        path = Path(self.environment["DATA_DIR"]) / "installation-id"
        return path.read_text().strip() if path.exists() else "none"

    # -- people and servers

    def sign_in(self) -> None:
        """Register the first administrator and use an API key of theirs from now on."""
        self.command(
            "user",
            "create",
            "--admin",
            "--email",
            self.email,
            "--password-stdin",
            stdin=self.password + "\n",
        )
        login = self._client.post(
            "/api/login", json={"email": self.email, "password": self.password}
        )
        login.raise_for_status()
        key = self._client.post(
            "/api/keys",
            json={"name": "harness"},
            headers={
                "X-CSRF-Token": login.json()["csrf_token"],
                # Behind TLS the cookie is for https alone, and the hub itself speaks none.
                "Cookie": login.headers["Set-Cookie"].partition(";")[0],
            },
        )
        key.raise_for_status()
        self.api_key = key.json()["key"]
        self._client.cookies.clear()
        self._client.headers["Authorization"] = f"Bearer {self.api_key}"

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the REST API and return the answer's JSON."""
        response = self.raw(method, path, body)
        assert response.is_success, (
            f"{method} {path}: {response.status_code} {response.text}"
        )
        return response.json() if response.content else None

    def raw(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        """Call the REST API and return the answer, whatever it is."""
        return self._client.request(method, path, json=body)

    def create(self, name: str, **fields: Any) -> Created:
        """Ask for a server."""
        answer = self.api("POST", "/api/servers", {"name": name, **fields})
        return Created(
            answer["server"]["id"],
            name,
            answer["server"]["endpoint"],
            answer["endpoint_key"],
        )

    def wait_running(
        self, server: Created, *, timeout_s: float = BUILD_S
    ) -> dict[str, Any]:
        """Wait until the server runs; fails at once when it ends in error."""
        return self.wait_status(server, {"running"}, timeout_s=timeout_s)

    def wait_status(
        self, server: Created, statuses: set[str], *, timeout_s: float = BUILD_S
    ) -> dict[str, Any]:
        """Wait until the server has one of ``statuses``; fails at once when it ends in another settled one."""
        deadline = time.monotonic() + timeout_s
        seen = "unknown"
        while time.monotonic() < deadline:
            try:
                view = dict(self.api("GET", f"/api/servers/{server.id}"))
            except (httpx.HTTPError, AssertionError):
                time.sleep(0.2)
                continue
            seen = f"{view['status']} {view['status_reason']}"
            if view["status"] in statuses:
                return view
            if view["status"] == "error":
                raise AssertionError(f"{server.name} ended in {seen}")
            time.sleep(0.1)
        raise TimeoutError(
            f"{server.name} is {seen} after {timeout_s} s\n{self.logs()}"
        )

    def delete(self, server_id: int, *, timeout_s: float = 60) -> None:
        """Delete a server and wait until it is gone."""
        self.api("DELETE", f"/api/servers/{server_id}")
        deadline = time.monotonic() + timeout_s
        while self._client.get(f"/api/servers/{server_id}").status_code != 404:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"server {server_id} is still there after {timeout_s} s"
                )
            time.sleep(0.1)

    def warm_up(self) -> str:
        """Have the base image made, and return its reference."""
        created = self.create("warm-up", package="pypi:mcp-server-time")
        self.wait_running(created)
        (row,) = self.query(
            "SELECT base_image FROM builds WHERE server_id = %s", created.id
        )
        self.delete(created.id)
        return str(row[0])

    def containers(self, server_id: int) -> list[str]:
        """Return the ids of the containers that run the server, whatever their state; not of those that look into its image."""
        filters = [
            "--filter",
            "label=mcp-host.instance",
            "--filter",
            f"label=mcp-host.server={server_id}",
            "--filter",
            f"label=mcp-host.owner={self.owner}",
        ]
        done = subprocess.run(
            ["docker", "ps", "-aq", "--no-trunc", *filters],
            capture_output=True,
            text=True,
            check=True,
        )
        return sorted(done.stdout.split())

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the appliance's own database."""
        with (
            closing(
                psycopg2.connect(self.command("database-url").strip())
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, values)
            return cursor.fetchall()


def _environment(home: Path, settings: dict[str, object]) -> dict[str, str]:
    hub, gateway = _free_ports(2)
    chosen: dict[str, object] = {
        "jwt_secret": secrets.token_urlsafe(48),
        "bind_address": "127.0.0.1",
        "bind_port": hub,
        "gateway_bind_address": "127.0.0.1",
        "mcp_gateway_url": f"http://127.0.0.1:{gateway}",
        "data_dir": home / "data",
        "run_dir": home / "run",
        "gw_workers": 1,
    } | settings
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "LANG", "DOCKER_HOST"}
    }
    return (
        kept
        | {"PYTHONPATH": f"{ROOT}:{AS_INSTALLED}"}
        | {name.upper(): str(value) for name, value in chosen.items()}
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()
