"""A throw-away Postgres cluster, found and run as the appliance's own."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2

from appliance.infra.postgres import Cluster

#: Nothing here must survive the machine, so nothing waits for its disk.
_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
}
#: A file system in memory that every Linux has, small in containers.
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 * 1024**3


class ThrowAwayCluster(Cluster):
    """A cluster that tests may also break."""

    def kill(self) -> None:
        """End the postmaster as a crash does; its backends notice and follow."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def execute(self, sql: str) -> None:
        """Run one statement as the superuser, outside a transaction."""
        with closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)


@contextmanager
def throw_away_cluster(**options: str) -> Iterator[ThrowAwayCluster]:
    """Run a cluster and remove every trace of it; ``options`` over the usual ones."""
    home = Path(tempfile.mkdtemp(prefix="mcp-host-pg-", dir=_place()))
    home.chmod(0o755)
    cluster = ThrowAwayCluster(home / "cluster", home / "s", extra=_OPTIONS | options)
    try:
        cluster.initialise()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)


def _place() -> Path:
    """Return where clusters lie: in memory if there is room and programs may run there, for Postgres' own are copied along.

    Every test has a database of some 1,000 files: ext4 gives out no number of a file deleted in the last seconds, and looking
    for another took a third of the suite's time on the processor.

    Not the test's own temporary directory: its path may be too long for a socket.
    """
    with contextlib.suppress(FileNotFoundError):
        found = os.statvfs(_MEMORY)
        runs_programs = not found.f_flag & os.ST_NOEXEC
        if runs_programs and found.f_bavail * found.f_frsize >= _ROOM_BYTES:
            return _MEMORY
    return Path("/var/tmp")
