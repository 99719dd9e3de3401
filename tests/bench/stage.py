"""What is measured: a server, the server behind Nginx, and the server behind a gateway with one worker."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.infra import migrations
from appliance.infra.connections import connect, connection_arguments
from tests.bench.load import LOAD_CPU, MEASURED_CPU, cpu_s, descendants
from tests.cluster import throw_away_cluster
from tests.fakes.mcp_box import ROOT, Box, wait_until
from tests.harness.ports import free_port

_NGINX = """
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  keepalive_requests 1000000000;
  upstream server {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Stage:
    """Addresses and processes of what is measured."""

    direct_url: str
    #: The same server on the measured CPU: as far from wrk as Nginx and the gateway are.
    near_url: str
    nginx_url: str
    nginx_pid: int
    box: Box
    postgres_pid: int

    def worker_cpu_s(self) -> float:
        """CPU seconds of the gateway's worker."""
        return cpu_s([self.box.children()["worker-0"]])

    def scribe_cpu_s(self) -> float:
        """CPU seconds of the process that copies traces."""
        pid = self.box.children().get("scribe")
        return cpu_s([pid]) if pid else 0.0

    def nginx_cpu_s(self) -> float:
        """CPU seconds of Nginx."""
        return cpu_s(descendants(self.nginx_pid))

    def postgres_cpu_s(self) -> float:
        """CPU seconds of Postgres, as long as its processes live."""
        return cpu_s(descendants(self.postgres_pid))


@contextmanager
def stage(**settings: Any) -> Iterator[Stage]:
    """Start everything, each on its CPU."""
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="gw-bench-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o755)
        port = stack.enter_context(_server(LOAD_CPU))
        near = stack.enter_context(_server(MEASURED_CPU))
        nginx_port, nginx = stack.enter_context(_nginx(home, port))
        cluster = stack.enter_context(throw_away_cluster())
        postgres = cluster._process
        assert postgres is not None
        for pid in descendants(postgres.pid):
            with suppress(ProcessLookupError):  # one that only started the server
                os.sched_setaffinity(pid, {LOAD_CPU})  # and what it starts later
        box = stack.enter_context(one_worker(cluster.url(), home / "run", **settings))
        box.host_http("http", f"http://127.0.0.1:{port}/mcp")
        yield Stage(
            f"http://127.0.0.1:{port}/mcp",
            f"http://127.0.0.1:{near}/mcp",
            f"http://127.0.0.1:{nginx_port}/mcp",
            nginx,
            box,
            postgres.pid,
        )


@contextmanager
def one_worker(database_url: str, run_dir: Path, **settings: Any) -> Iterator[Box]:
    """Run a gateway whose worker and bridge have the measured CPU; the scribe shares the other with the load."""
    with closing(connect(connection_arguments(database_url))) as connection:
        migrations.migrate(connection, ROOT / "migrations")
    box = Box(database_url, run_dir, gw_workers=1, **settings)
    try:
        box.start()
        for name, pid in box.children().items():
            cpu = LOAD_CPU if name == "scribe" else MEASURED_CPU
            os.sched_setaffinity(pid, {cpu})
        yield box
    finally:
        box.stop()


@contextmanager
def _server(cpu: int) -> Iterator[int]:
    port = free_port()
    command = ["taskset", "-c", str(cpu), sys.executable]
    with subprocess.Popen(
        [*command, "-m", "tests.bench.upstream", str(port)], cwd=ROOT
    ) as server:
        try:
            wait_until(lambda: _accepts(port), "the server listens")
            yield port
        finally:
            server.kill()


@contextmanager
def _nginx(home: Path, upstream: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(home=home, upstream=upstream, port=port))
    command = ["taskset", "-c", str(MEASURED_CPU), "nginx", "-c", str(config)]
    with subprocess.Popen([*command, "-e", str(home / "error.log")]) as nginx:
        try:
            wait_until(lambda: _accepts(port), "Nginx listens")
            yield port, nginx.pid
        finally:
            nginx.terminate()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
