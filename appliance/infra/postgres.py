"""The private Postgres cluster: made once, run in the foreground, reached by its socket alone.

Who may connect is decided by the kernel: ``peer`` asks it which user is at the other end, and a map lets in the owner of
the cluster and the user that made it. So there is no password to keep, to leak or to back up. Whoever can become one of
these users could read the files as well.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from appliance.infra.connections import (
    DatabaseUnavailableError,
    connect,
    connection_arguments,
)
from appliance.infra.directories import own_directory, settle
from appliance.infra.postgres_binaries import (
    Account,
    Binaries,
    PostgresUnavailableError,
    account,
    resolve,
)
from appliance.infra.postgres_config import (
    access_files,
    initdb_arguments,
    options,
    socket_url,
)
from appliance.infra.process import child_environment
from appliance.settings import Settings

#: A socket's path must fit in 107 bytes on Linux, its name included.
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 107
_START_S = 30.0
_STOP_S = 20.0


@dataclass
class Cluster:
    """One cluster: its files in ``home/data``, its socket in ``socket_dir``. Every method blocks.

    ``initialise`` may be called at any time and after any crash; ``start`` and ``stop`` run it as a child of this process,
    for tests. The appliance itself replaces its process with it (``exec_postgres``).
    """

    home: Path
    socket_dir: Path
    #: Server settings over the usual ones.
    extra: Mapping[str, str] = field(default_factory=dict)
    _owner: Account = field(init=False, default_factory=account)
    _binaries: Binaries | None = field(init=False, default=None)
    _process: "subprocess.Popen[bytes] | None" = field(init=False, default=None)

    @property
    def data(self) -> Path:
        """What Postgres calls its data directory."""
        return self.home / "data"

    def url(self, database: str = "postgres") -> str:
        """Return the address of one database of the cluster."""
        return socket_url(self.socket_dir, database)

    def initialise(self) -> None:
        """Make the cluster unless it is there, and everything about it that may have changed since.

        Raises:
            PostgresUnavailableError: It cannot be run here; the text says why.
        """
        self._make_directories()
        with self._alone():
            self._binaries = resolve(self._owner, self.home)
            for unfinished in self.home.glob(".new-*"):
                shutil.rmtree(unfinished)
            if not self.data.is_dir():
                self._initdb(self._binaries)
            self._write_access()
            self._forget_stranger()

    def command(self) -> list[str]:
        """Return the argv that runs the initialised cluster in the foreground."""
        if self._binaries is None:
            raise RuntimeError("initialise the cluster first")
        settings = options(self._binaries.major, self.socket_dir, self.extra)
        flags = [
            word
            for name, value in settings.items()
            for word in ("-c", f"{name}={value}")
        ]
        return self._owner.argv(
            [self._binaries.postgres, "-D", self.data, *flags], death_signal="INT"
        )

    def start(self) -> None:
        """Run it as a child that dies with this process, and return when it answers."""
        log = self.home / "postgres.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/",
                env=child_environment(os.environ),
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresUnavailableError(f"Postgres did not start: {_tail(log)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it without waiting for its clients; nothing happens where it does not run."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _answers(self) -> bool:
        try:
            connect(connection_arguments(self.url())).close()
        except DatabaseUnavailableError:
            return False
        return True

    def _make_directories(self) -> None:
        longest = len(os.fsencode(self.socket_dir / _SOCKET_NAME))
        if longest > _SOCKET_PATH_BYTES:
            raise PostgresUnavailableError(
                f"{self.socket_dir} is too long for a socket, by {longest - _SOCKET_PATH_BYTES} bytes.",
                hint="Set RUN_DIR to a shorter directory.",
            )
        for directory, mode in ((self.home, 0o700), (self.socket_dir, 0o711)):
            own_directory(
                directory, mode=mode, uid=self._owner.uid, gid=self._owner.gid
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the cluster against a second one that prepares it, and let go when this process ends."""
        with (self.home / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _initdb(self, binaries: Binaries) -> None:
        """Make the files beside their place and move them there whole, so that a kill leaves none or all."""
        fresh = self.home / f".new-{os.getpid()}"
        done = subprocess.run(
            self._owner.argv([binaries.initdb, *initdb_arguments(binaries.major, fresh)]),
            check=False, capture_output=True, text=True, cwd="/", env=child_environment(os.environ),
        )  # fmt: skip
        if done.returncode:
            raise PostgresUnavailableError(
                f"initdb failed: {done.stderr.strip() or done.stdout.strip()}"
            )
        fresh.rename(self.data)
        settle(self.home)

    def _write_access(self) -> None:
        """Let in whoever runs the appliance now, who may be another than yesterday."""
        users = list(dict.fromkeys([self._owner.name, _own_name()]))
        for name, text in access_files(users).items():
            fresh = self.data / f"{name}.new"
            fresh.write_text(text)
            fresh.chmod(0o600)
            os.chown(fresh, self._owner.uid, self._owner.gid)
            fresh.replace(self.data / name)

    def _forget_stranger(self) -> None:
        """Remove a lock file whose process number now belongs to another program.

        In a container numbers start again with every boot, so a file left by a kill often names a living process, and
        Postgres would refuse to start for ever.
        """
        lock = self.data / "postmaster.pid"
        if lock.is_file():
            pid = lock.read_text().split("\n", 1)[0].strip()
            comm = Path("/proc") / pid / "comm"
            if not pid.isdigit() or (
                comm.is_file() and comm.read_text().strip() != "postgres"
            ):
                lock.unlink()


def database_url(settings: Settings) -> str:
    """Return where the database is: ``DATABASE_URL``, else the private cluster."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    return socket_url(_socket_dir(settings))


def exec_postgres(settings: Settings) -> NoReturn:
    """Make the private cluster if need be and become its server; this process is Postgres from then on.

    Raises:
        PostgresUnavailableError: It cannot be run here; the text says why.
    """
    cluster = Cluster(settings.postgres_dir.absolute(), _socket_dir(settings))
    cluster.initialise()
    command = cluster.command()
    program = shutil.which(command[0])
    if program is None:
        raise PostgresUnavailableError(f"The program {command[0]} is not on this box.")
    os.chdir("/")
    os.execve(program, command, child_environment(os.environ))  # noqa: S606 - the point of this function


def _socket_dir(settings: Settings) -> Path:
    return settings.run_dir.absolute() / "postgres"


def _own_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
