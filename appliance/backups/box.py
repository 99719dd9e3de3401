"""What a backup and a restore need of this box: its database running, and nobody else at the same work."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.backups.engine import Engine
from appliance.backups.errors import BackupRunningError
from appliance.backups.store import LOCK_KEY
from appliance.infra.connections import (
    DatabaseUnavailableError,
    connect,
    connection_arguments,
)
from appliance.infra.docker import Engine as EngineDoor
from appliance.infra.docker import local_socket
from appliance.infra.postgres import Cluster, database_url
from appliance.runtimes.data_disks import DataDisks
from appliance.runtimes.docker_space import Space
from appliance.settings import Settings


def engine_address(settings: Settings) -> str:
    """Return where the engine is.

    Raises:
        EngineUnavailableError: There is none on this box.
    """
    return settings.docker_host or local_socket()


def answers(url: str) -> bool:
    """Tell whether Postgres answers there."""
    try:
        connect(connection_arguments(url)).close()
    except DatabaseUnavailableError:
        return False
    return True


@contextmanager
def database_running(settings: Settings) -> Iterator[str]:
    """Give the database's address; the private cluster of a stopped appliance runs as long as the block.

    Raises:
        DatabaseUnavailableError: DATABASE_URL does not answer.
        PostgresUnavailableError: The private cluster cannot be run.
    """
    url = database_url(settings)
    if answers(url):
        yield url
        return
    if settings.database_url is not None or not (settings.postgres_dir / "data").is_dir():  # fmt: skip
        connect(connection_arguments(url))  # says why
    cluster = Cluster(
        settings.postgres_dir.absolute(), settings.run_dir.absolute() / "postgres"
    )
    cluster.initialise()
    cluster.start()
    try:
        yield url
    finally:
        cluster.stop()


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Hold the lock under which one backup, verification or restore goes on.

    Raises:
        BackupRunningError: Another does.
    """
    with contextlib.closing(connect(connection_arguments(url))) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,))
            (is_ours,) = cursor.fetchone() or (False,)
        if not is_ours:
            raise BackupRunningError(
                "A backup runs already.",
                hint="Wait for its end, or cancel it: mcpctl backups cancel",
            )
        yield


class Volumes:
    """The volumes of servers, made ready to be looked into. Blocking; not for a process with a loop.

    Args:
        disks: Where their file systems lie.
    """

    def __init__(
        self, settings: Settings, *, owner: str, address: str, disks: Path
    ) -> None:
        """Keep the parts."""
        self.engine = Engine(address, owner)
        self._address = address
        self._owner = owner
        self._pool = settings.server_subnet_pool
        self.disks = DataDisks(disks, default_bytes=0)

    def name(self, server_id: int) -> str:
        """Return what a server's volume is called."""
        return f"mcp-{self._owner}-{server_id}"

    def remove(self, server_id: int) -> None:
        """Remove a server's volume and its disk; they may be gone already."""
        self.engine.remove_volume(self.name(server_id))
        asyncio.run(self.disks.remove(self.name(server_id)))

    def ensure(self, server_id: int, *, disk_bytes: int | None) -> str:
        """Make a server's volume where it is missing, attach its disk, and return its name.

        Args:
            disk_bytes: Size of the file system; ``None``: as it is, or a directory.
        """

        async def make() -> str:
            door = EngineDoor(self._address)
            space = Space(
                door, owner=self._owner, subnet_pool=self._pool, disks=self.disks
            )
            try:
                return await space.ensure_volume(server_id, data_bytes=disk_bytes)
            finally:
                await door.close()

        return asyncio.run(make())
