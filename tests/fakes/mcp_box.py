"""A gateway as it really runs (master, workers, bridge) over a real database, and containers behind it."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg2
from psycopg2.extras import Json

from appliance.core.ids import internal_key, key_hash, new_key
from appliance.gateway.config import GatewayConfig, from_settings
from appliance.infra import migrations
from appliance.infra.connections import connect, connection_arguments
from appliance.settings import load_settings
from tests.harness.ports import free_port

ROOT = Path(__file__).parent.parent.parent
#: Of this run alone: no other run's gateway takes its keys.
SECRET = f"a secret for tests {secrets.token_hex(16)}"
IMAGE = "mcp-host-test/python"
FAKE_SERVER = (Path(__file__).parent / "mcp_stdio.py").read_text()
BOTH = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}


def ensure_image() -> None:
    """Assemble the image with bare Python from a Debian mirror, once a machine."""
    if (
        subprocess.run(
            ["docker", "image", "inspect", IMAGE], capture_output=True, check=False
        ).returncode
        == 0
    ):
        return
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--include=python3-minimal",
        "trixie",
        "-",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as made:
        subprocess.run(
            ["docker", "import", "-", IMAGE],
            stdin=made.stdout,
            check=True,
            capture_output=True,
        )


@contextlib.contextmanager
def stdio_container(
    environment: dict[str, str] | None = None, *options: str, script: str = FAKE_SERVER
) -> Iterator[str]:
    """Run a stdio server as the executor would, and yield its container's id."""
    ensure_image()
    variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
    command = [
        "docker",
        "run",
        "--detach",
        "--interactive",
        "--network=none",
        "--label=mcp-host.server=1",
    ]
    started = subprocess.run(
        [*command, *variables, *options, IMAGE, "python3", "-u", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    container_id = started.stdout.strip()
    try:
        yield container_id
    finally:
        subprocess.run(
            ["docker", "rm", "--force", container_id], capture_output=True, check=False
        )


class Box:
    """One gateway and its database."""

    def __init__(
        self,
        database_url: str,
        run_dir: Path,
        command: tuple[str, ...] | None = None,
        **settings: Any,
    ) -> None:
        #: What becomes its successor; ``None``: the gateway of this checkout.
        self.command = command
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database_url = database_url
        self.internal_key = internal_key(SECRET.encode())
        chosen = {
            "jwt_secret": SECRET,
            "mcp_gateway_url": self.url,
            "run_dir": run_dir,
            "gateway_bind_address": "127.0.0.1",
            "gw_workers": 2,
            "gw_graceful_timeout": 5,
            "start_timeout": 10,
        } | settings
        self.settings = load_settings(**chosen)
        #: What a successor reads its settings from.
        self.environment = {key.upper(): str(value) for key, value in chosen.items()}
        self.environment["DATABASE_URL"] = database_url
        self.process: subprocess.Popen[bytes] | None = None
        self._connection: psycopg2.extensions.connection | None = None
        self.owner = 0
        self.key = ""
        self.transport = ""
        self.log = run_dir / "gateway.log"

    @property
    def config(self) -> GatewayConfig:
        config = from_settings(self.settings, self.database_url)
        return config if self.command is None else replace(config, command=self.command)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    # -- processes

    def spawn(self, *, capture: bool = False) -> "subprocess.Popen[bytes]":
        """Start the lean process as ``start.run`` does."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.memfd_create("config", 0)
        os.write(descriptor, self.config.to_json().encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                # It goes when the tests go, also when they are killed.
                [
                    "setpriv",
                    "--pdeathsig",
                    "TERM",
                    sys.executable,
                    "-m",
                    "appliance.gateway",
                    str(descriptor),
                ],
                pass_fds=[descriptor],
                env=os.environ | self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.PIPE if capture else subprocess.STDOUT,
            )
        os.close(descriptor)
        return started

    def start(self, *, wait: bool = True) -> None:
        self.process = self.spawn()
        if wait:
            wait_until(lambda: self.get("/readyz")[0] == 200, "the gateway is ready")

    def stop(self) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def children(self) -> dict[str, int]:
        """The children that the master started last, by name."""
        found = {}
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "child_started":
                    found[event["child"]] = event["pid"]
        return found

    def kill_child(self, name: str) -> int:
        """Kill a child, wait until it is dead, and return its id."""
        pid = self.children()[name]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: has_ended(pid), f"{name} is dead")
        return pid

    def migrate(self) -> None:
        """Bring the schema up to date."""
        with closing(connect(connection_arguments(self.database_url))) as connection:
            migrations.migrate(connection, ROOT / "migrations")

    # -- rows

    def execute(self, sql: str, *arguments: Any) -> Any:
        """Run one statement and return the first value of its first row, if it has one."""
        if self._connection is None:
            with self.one_transaction():
                return self.execute(sql, *arguments)
        with self._connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    @contextlib.contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Make what is done inside visible to the gateway at once."""
        with closing(psycopg2.connect(self.database_url)) as connection, connection:
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None

    def forget_everything(self) -> None:
        """Remove every row that another test left."""
        self.execute("DELETE FROM bundles")
        self.execute("UPDATE servers SET deployment_id = NULL")
        self.execute("DELETE FROM servers")
        self.execute("DELETE FROM orgs")
        self.execute("DELETE FROM users")

    def add_user(self, role: str = "member") -> Any:
        return self.execute(
            "INSERT INTO users (email, password_hash, role) VALUES (%s, '', %s) RETURNING id",
            f"{secrets.token_hex(4)}@x",
            role,
        )

    def add_user_key(self, user_id: int, expires: str | None = None) -> str:
        key = new_key("mcph_")
        self.execute(
            "INSERT INTO api_keys (user_id, name, prefix, key_hash, expires_at) VALUES (%s, '', '', %s, %s)",
            user_id,
            key_hash(key),
            expires,
        )
        return key

    def add_server(
        self,
        name: str,
        owner: int,
        *,
        status: str = "running",
        reason: str = "",
        tools: Any = None,
        session_mode: str = "auto",
    ) -> str:
        """Add a server without an instance and return its endpoint key."""
        key = new_key("mcps_")
        server_id = self.execute(
            "INSERT INTO servers (name, owner_id, source, config, status, status_reason,"
            " endpoint_key_hash, endpoint_key_prefix) VALUES (%s, %s, '{}', %s, %s, %s, %s, '') RETURNING id",
            name,
            owner,
            Json(
                {"session_mode": session_mode}
                | ({} if tools is None else {"tools": tools})
            ),
            status,
            reason,
            key_hash(key),
        )
        deployment = self.execute(
            "INSERT INTO deployments (server_id, number, source, config, requested_by)"
            " VALUES (%s, 1, '{}', '{}', 'x') RETURNING id",
            server_id,
        )
        self.execute(
            "UPDATE servers SET deployment_id = %s WHERE id = %s", deployment, server_id
        )
        return key

    def add_instance(
        self, name: str, transport: str, *, container_id: str = "", address: str = ""
    ) -> None:
        self.execute(
            "INSERT INTO instances (server_id, deployment_id, executor, name, container_id, transport, address)"
            " SELECT id, deployment_id, 'docker', name, %s, %s, %s FROM servers WHERE name = %s",
            container_id,
            transport,
            address,
            name,
        )

    def host_stdio(self, name: str, container_id: str, **server: Any) -> str:
        """Add a running stdio server with an owner of its own, wait until it is routed, and return its key."""
        return self._host(name, "stdio", server, container_id=container_id)

    def host_http(
        self, name: str, address: str, *, container_id: str = "c0ffee", **server: Any
    ) -> str:
        """Add a running HTTP server as ``host_stdio`` does; without a container it counts as remote."""
        return self._host(
            name, "streamable-http", server, container_id=container_id, address=address
        )

    def _host(
        self,
        name: str,
        transport: str,
        server: dict[str, Any],
        *,
        container_id: str,
        address: str = "",
    ) -> str:
        self.transport = transport
        with self.one_transaction():
            self.owner = self.add_user()
            self.key = self.add_server(name, self.owner, **server)
            self.add_instance(
                name, transport, container_id=container_id, address=address
            )
        self.wait_routed(name)
        return self.key

    def wait_routed(self, name: str) -> None:
        """Wait until every worker knows ``name``; 405 says that the key opens it."""
        seen = 0
        while seen < 20:
            request = Request(
                f"{self.url}/servers/{name}/mcp",
                headers={"Authorization": f"Bearer {self.internal_key}"},
                method="PUT",
            )
            seen = seen + 1 if self._ask(request)[0] == 405 else 0
            time.sleep(0.01)

    def wait_known(self) -> None:
        """Wait until every worker knows all that has been written so far: what came last is known last."""
        marker = f"marker-{secrets.token_hex(4)}"
        self.add_server(marker, self.owner)
        self.wait_routed(marker)

    # -- requests

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        return self._ask(Request(self.url + path, headers=headers or {}))

    def post(
        self,
        name: str,
        message: Any,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """POST a message (or raw bytes) to an endpoint; returns the status and the JSON answered."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        request = Request(
            f"{self.url}/servers/{name}/mcp",
            data=body,
            headers=BOTH
            | ({"Authorization": f"Bearer {key}"} if key else {})
            | (headers or {}),
        )
        status, text = self._ask(request)
        return status, _parsed(text)

    def call(
        self,
        name: str,
        tool: str,
        arguments: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        **more: Any,
    ) -> Any:
        """Call a tool and return the whole JSON-RPC answer."""
        return self.post(
            name, tool_call(tool, arguments), key=key or self.internal_key, **more
        )[1]

    def events(self, name: str, message: Any, *, key: str | None = None) -> list[Any]:
        """POST a message and return all messages of the event stream that answers it."""
        request = Request(
            f"{self.url}/servers/{name}/mcp",
            data=json.dumps(message).encode(),
            headers=BOTH | {"Authorization": f"Bearer {key or self.internal_key}"},
        )
        with urlopen(request, timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream"), (
                answer.read()
            )
            lines = answer.read().decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    def open_session(self, name: str, *, key: str | None = None) -> str:
        """Initialize and return the session id."""
        message = {
            "jsonrpc": "2.0",
            "id": 0,
            "method": "initialize",
            "params": {"protocolVersion": "2025-11-25"},
        }
        request = Request(
            f"{self.url}/servers/{name}/mcp",
            data=json.dumps(message).encode(),
            headers=BOTH | {"Authorization": f"Bearer {key or self.internal_key}"},
        )
        with urlopen(request, timeout=30) as answer:
            return str(answer.headers["Mcp-Session-Id"])

    @contextlib.contextmanager
    def stream(
        self, name: str, session: str = "", *, key: str | None = None
    ) -> Iterator[Callable[[], Any]]:
        """Open a GET stream and yield what returns its next message."""
        headers = {
            "Accept": "text/event-stream",
            "Authorization": f"Bearer {key or self.internal_key}",
        }
        if session:
            headers["Mcp-Session-Id"] = session
        with urlopen(
            Request(f"{self.url}/servers/{name}/mcp", headers=headers), timeout=5
        ) as answer:

            def next_event() -> Any:
                while not (line := answer.readline()).startswith(b"data: "):
                    assert line, "the stream ended"
                return json.loads(line[6:])

            yield next_event

    def send(
        self,
        name: str,
        message: Any,
        *,
        cut: int | None = None,
        session: str = "",
        key: str | None = None,
    ) -> socket.socket:
        """Send a request, or as much of its body as ``cut`` leaves, and return the open connection.

        Without a message, a GET stream is asked for.
        """
        body = b"" if message is None else json.dumps(message).encode()
        head = (
            f"{'GET' if message is None else 'POST'} /servers/{name}/mcp HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {key or self.internal_key}\r\n"
            + (f"Mcp-Session-Id: {session}\r\n" if session else "")
            + "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.sendall(head.encode() + body[:cut])
        return connection

    @contextlib.contextmanager
    def raw_post(
        self, name: str, message: Any, *, key: str | None = None
    ) -> Iterator[socket.socket]:
        """Send a request and yield the open connection without reading an answer."""
        with self.send(name, message, key=key) as connection:
            yield connection

    def container_id(self, name: str) -> str:
        """The container that a server is routed to."""
        return str(
            self.execute(
                "SELECT container_id FROM gateway_routes WHERE name = %s", name
            )
        )

    def instance_state(self, name: str) -> Any:
        """What the bridge says of a server."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.config.bridge_socket)
            connection.sendall(
                f"GET /instances/{self.container_id(name)} HTTP/1.0\r\n\r\n".encode()
            )
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def _ask(self, request: Request) -> tuple[int, str]:
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, urllib.error.URLError):
            return 0, ""


def tool_call(
    tool: str, arguments: dict[str, Any] | None = None, request_id: Any = 1, **meta: Any
) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments or {}}
    if meta:
        params["_meta"] = meta
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": params,
    }


def text_of(answer: Any) -> str:
    """The text of a tool's result."""
    return str(answer["result"]["content"][0]["text"])


def _parsed(text: str) -> Any:
    if text.startswith("event:"):
        return json.loads(text.rstrip().rsplit("data: ", 1)[1])
    return json.loads(text) if text.startswith("{") else text


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or is a zombie that its parent has not seen yet."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        )
    except FileNotFoundError:
        return True


def wait_until(condition: Any, what: str, *, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {within_s:g} s: {what}")
