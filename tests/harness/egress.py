"""A box on which servers are kept in: the real process, the real engine, and names that the test chooses."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from appliance.core.egress import bridge_prefix
from appliance.egress.config import EgressConfig
from appliance.infra.connections import connection_arguments

ROOT = Path(__file__).parent.parent.parent
POOL = "10.223.0.0/18"
#: With its own hosts file, by which it resolves what servers may reach.
_WITH_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
WITHIN_S = 10.0


def box_address() -> str:
    """Return an address of this box that is neither loopback nor a container's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.77", 9))
        return str(probe.getsockname()[0])


@dataclass
class Process:
    """The egress process of one installation."""

    owner: str
    database_url: str
    directory: Path
    own_ports: tuple[int, ...]
    hosts: dict[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | None = None

    @property
    def table(self) -> str:
        """The firewall's table."""
        return "mcp_host_" + bridge_prefix(self.owner).removeprefix("mcp").rstrip("-")

    def start(self, *, is_told: bool = True) -> None:
        """Start it, and return when it enforces what Postgres says, or what it remembers."""
        started = self.told("egress_ready")
        file = self.directory / "hosts"
        named = "".join(f"{address} {name}\n" for name, address in self.hosts.items())
        file.write_text(f"127.0.0.1 localhost\n{named}")
        config = EgressConfig(
            database=connection_arguments(self.database_url),
            prefix=bridge_prefix(self.owner),
            pool=POOL,
            own_ports=self.own_ports,
            state_file=str(self.directory / "egress.json"),
        )
        told = os.memfd_create("egress-config", 0)
        os.write(told, config.to_json().encode())
        os.lseek(told, 0, os.SEEK_SET)
        with (self.directory / "egress.log").open("ab") as log:
            self.running = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "slave", "sh", "-ec"),
                    *(_WITH_HOSTS, "sh", str(file), sys.executable, "-P", "-m"),
                    *("appliance.egress", str(told)),
                ],
                cwd=ROOT,
                pass_fds=(told,),
                env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        os.close(told)
        if is_told:
            self.until(
                lambda: bool(self.rows("SELECT 1 FROM egress_state WHERE enforced"))
            )
        else:
            self.until(lambda: self.told("egress_ready") > started)

    def stop(self) -> None:
        """End it; its rules stay."""
        if self.running:
            self.running.terminate()
            self.running.wait()

    def remove(self) -> None:
        """End it and take its rules away."""
        self.stop()
        subprocess.run(
            ["nft", "delete", "table", "inet", self.table],
            check=False,
            capture_output=True,
        )

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what Postgres answers."""
        with closing(psycopg2.connect(self.database_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall() if cursor.description else []

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            log = (self.directory / "egress.log").read_text()
            assert time.monotonic() < deadline, log[-3000:]
            time.sleep(0.05)

    def allow(
        self,
        server: int,
        *hosts: str,
        mode: str = "allow-list",
        private: tuple[str, ...] = (),
        learn: bool = False,
    ) -> None:
        """Set a server's policy, and return when the firewall has it."""
        before = self.told("egress_policies")
        self.rows(
            "INSERT INTO egress_policies (server_id, mode, hosts, private, learn, declared) VALUES (%s, %s, %s, %s, %s, '{}')"
            " ON CONFLICT (server_id) DO UPDATE SET mode = excluded.mode, hosts = excluded.hosts,"
            " private = excluded.private, learn = excluded.learn",
            *(server, mode, json.dumps(hosts), json.dumps(private), learn),
        )
        if self.running and self.running.poll() is None:
            self.until(lambda: self.told("egress_policies") > before)

    def told(self, event: str) -> int:
        """Return how often the process's log has an event."""
        log = self.directory / "egress.log"
        return log.read_text().count(f'"{event}"') if log.exists() else 0

    def denied(self, server: int) -> dict[tuple[str, int, str], str]:
        """Return destination, port and protocol of what was denied, with the reasons."""
        found = self.rows(
            "SELECT destination, port, protocol, reason FROM egress_attempts WHERE server_id = %s AND NOT allowed",
            server,
        )
        return {(a, b, c): reason for a, b, c, reason in found}


class Answering:
    """Listeners on every address of this box that answer whoever reaches them."""

    def __init__(self, text: bytes = b"reached") -> None:
        """Answer with ``text``."""
        self._text = text
        self._open: list[socket.socket] = []

    def tcp(self, port: int = 0) -> int:
        """Listen, at any free port by default, and return where."""
        listener = socket.create_server(("0.0.0.0", port))  # noqa: S104 - that is the point
        self._serve(listener, self._answer)
        return int(listener.getsockname()[1])

    def udp(self, port: int = 0) -> int:
        """Listen, at any free port by default, and return where."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("0.0.0.0", port))  # noqa: S104 - that is the point
        self._serve(listener, self._echo)
        return int(listener.getsockname()[1])

    def close(self) -> None:
        """Close all."""
        for item in self._open:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()

    def _serve(
        self, listener: socket.socket, once: Callable[[socket.socket], None]
    ) -> None:
        self._open.append(listener)

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    once(listener)

        threading.Thread(target=run, daemon=True).start()

    def _answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(self._text + connection.recv(100))

    def _echo(self, listener: socket.socket) -> None:
        data, peer = listener.recvfrom(2000)
        if peer:
            listener.sendto(data, peer)
        else:
            raise ConnectionAbortedError  # closed


@contextlib.contextmanager
def answering() -> Iterator[Answering]:
    """Listeners that are closed afterwards."""
    made = Answering()
    try:
        yield made
    finally:
        made.close()


#: Of an internet of one machine: this box's end of it, and the machine.
OUTSIDE, OUTSIDE_BOX = "8.44.44.2", "8.44.44.1"
_OUTSIDE_PORT = 8000
_SERVE = (
    "import socket\n"
    f"s = socket.create_server(('{OUTSIDE}', {_OUTSIDE_PORT}))\n"
    "print('up', flush=True)\n"
    "while True:\n"
    "    c, _ = s.accept(); c.sendall(b'outside'); c.close()"
)


@contextlib.contextmanager
def outside() -> Iterator[str]:
    """A machine with a public address, in a namespace of this box; yields ``host:port`` at which it says ``outside``."""
    name = f"mcpout{os.getpid()}"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("address", "add", f"{OUTSIDE_BOX}/30", "dev", name)
        ip("link", "set", name, "up")
        for command in (
            ("address", "add", f"{OUTSIDE}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            ip("-n", name, *command)
        with subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, "-c", _SERVE],
            stdout=subprocess.PIPE,
        ) as server:
            try:
                assert server.stdout
                server.stdout.readline()
                yield f"{OUTSIDE}:{_OUTSIDE_PORT}"
            finally:
                server.kill()
    finally:
        ip("netns", "delete", name)
