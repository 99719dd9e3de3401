"""The scribe: copies what workers saw into the database, each row once, whenever there is a database."""

import contextlib
import fcntl
import io
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import structlog

from appliance.core.known_values import hide_everything
from appliance.gateway.counters import Counter, CounterRow
from appliance.gateway.traces.record import Invocation
from appliance.gateway.traces.rows import COLUMNS, copy_lines
from appliance.gateway.traces.segments import Piece, Segments
from appliance.gateway.traces.spool import make_directory, used_bytes
from appliance.infra.connections import DatabaseUnavailableError, connect
from appliance.infra.memory_files import MemoryFiles

log = structlog.get_logger("gateway.traces")

#: Seconds between looks at the spool while calls come, and while none does.
BUSY_EVERY_S = 0.1
IDLE_EVERY_S = 0.25
#: Seconds without a call until the connection is closed: at rest it costs Postgres two to three megabytes.
RESTS_AFTER_S = 10.0
#: Seconds until the database is asked again after it did not answer.
RETRY_S = 0.5
#: So often a scribe that was told to stop asks a database that does not answer; the spool keeps what it cannot write.
LAST_TRIES = 3
LOCK_NAME = "scribe.lock"
_COPY = f"COPY invocations ({', '.join(COLUMNS)}) FROM STDIN"
_KNOWN = "SELECT segment, position FROM invocation_spools WHERE segment = ANY(%s)"
_REMEMBER = """
INSERT INTO invocation_spools (segment, position, updated_at) VALUES (%s, %s, now())
ON CONFLICT (segment) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at
"""
_HAVE_SECRETS = "SELECT server_id FROM gateway_secrets WHERE server_id = ANY(%s)"
_FORGET = "DELETE FROM invocation_spools WHERE segment = ANY(%s)"


@dataclass
class Scribe:
    """Copies one directory's segments. Blocking throughout: this is all that its process does.

    Args:
        directory: Where the workers write.
        database: libpq keywords.
        counters: Its own row.
        memory: Where the values are that servers must not have told.
        beat: Shows the master that it is alive.
    """

    directory: Path
    database: dict[str, str]
    counters: CounterRow
    memory: MemoryFiles = field(default_factory=lambda: MemoryFiles(None))
    beat: Callable[[], None] = lambda: None
    segments: Segments = field(init=False)
    _connection: psycopg2.extensions.connection | None = field(init=False, default=None)
    _removed: list[str] = field(init=False, default_factory=list)
    _is_silent: bool = field(init=False, default=False)
    #: When there was something to copy last, by the monotonic clock.
    _busy_at: float = field(init=False, default=0.0)
    #: Whether it closed the connection itself, knowing how far everything is copied.
    _is_resting: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Know no segment yet."""
        self.segments = Segments(self.directory)

    def run(self) -> None:
        """Copy until told to stop, and then until nothing is left. Signals must be blocked: they are waited for here."""
        make_directory(self.directory)
        with _only_one(self.directory):
            while not self._told_to_stop(within_s=self._round()):
                pass
            self.drain()
        self._disconnect()

    def drain(self) -> None:
        """Copy all there is, unless the database is away."""
        failures = 0
        while failures < LAST_TRIES:
            try:
                piece = self.copy_once()
            except (psycopg2.Error, DatabaseUnavailableError):
                failures += 1
                time.sleep(RETRY_S / LAST_TRIES)
            else:
                if not piece.positions:
                    self.segments.remove_finished(rest_s=0)
                    break
        self._tell_fill()
        log.info("scribe_stopped", left_bytes=used_bytes(self.directory))

    def copy_once(self) -> Piece:
        """Copy one round's worth and return it.

        Raises:
            DatabaseUnavailableError: Postgres does not answer; nothing is lost.
            psycopg2.Error: It answered with an error, or went away in the middle.
        """
        if self._is_resting and not (piece := self.segments.read()).positions:
            self._removed += self.segments.remove_finished()
            return piece
        connection = self._connected()
        self._is_resting = False
        piece = self.segments.read()
        try:
            if piece.positions:
                self._write(connection, piece)
                self.segments.positions |= piece.positions
                self.counters.add(Counter.TRACES_COPIED, len(piece.rows))
            if not piece.is_full:
                self._removed += self.segments.remove_finished()
        except psycopg2.Error:
            # Whether the commit came through is known only there.
            self._disconnect()
            self._tell_lag(piece.rows)
            raise
        self._tell_lag(() if not piece.is_full else piece.rows)
        self._rest_unless_busy(piece)
        return piece

    def _rest_unless_busy(self, piece: Piece) -> None:
        """Hang up when no call came for a while; what is copied is known here, until the next connection asks anew."""
        now = time.monotonic()
        if piece.positions:
            self._busy_at = now
        elif now - self._busy_at >= RESTS_AFTER_S:
            self._disconnect()
            self._is_resting = True

    def _round(self) -> float:
        """Copy what is there, and return how long to wait before the next look."""
        wait_s = RETRY_S
        try:
            piece = self.copy_once()
        except DatabaseUnavailableError as error:
            self._tell_lag(self.segments.read().rows)
            self._warn(error.reason)
        except psycopg2.Error as error:
            self._warn(str(error).strip().splitlines()[0])
        else:
            self._is_silent = False
            wait_s = 0.0 if piece.is_full else IDLE_EVERY_S
            if piece.rows and not piece.is_full:
                wait_s = BUSY_EVERY_S
        self._tell_fill()
        return wait_s

    def _warn(self, reason: str) -> None:
        """Say once why nothing is copied."""
        if not self._is_silent:
            log.warning("traces_wait", reason=reason)
        self._is_silent = True

    def _told_to_stop(self, *, within_s: float) -> bool:
        self.beat()
        return signal.sigtimedwait({signal.SIGTERM}, within_s) is not None

    # -- the database

    def _connected(self) -> psycopg2.extensions.connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.database)
            self._recall(self._connection)
        return self._connection

    def _recall(self, connection: psycopg2.extensions.connection) -> None:
        """Learn how far each segment is copied already."""
        names = self.segments.names()
        try:
            with connection.cursor() as cursor:
                cursor.execute(_KNOWN, (names,))
                self.segments.positions = dict.fromkeys(names, 0) | dict(
                    cursor.fetchall()
                )
        except psycopg2.Error:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _write(self, connection: psycopg2.extensions.connection, piece: Piece) -> None:
        """Insert the rows and how far they reach, both or neither."""
        with connection.cursor() as cursor:
            lines = copy_lines(piece.rows, self._hiders(cursor, piece.rows))
            cursor.execute("BEGIN")
            try:
                _copy(cursor, lines)
            except (psycopg2.DataError, psycopg2.IntegrityError):
                cursor.execute("ROLLBACK")
                cursor.execute("BEGIN")
                self.counters.add(Counter.TRACES_DROPPED, _copy_sound(cursor, lines))
            cursor.executemany(_REMEMBER, sorted(piece.positions.items()))
            if self._removed:
                cursor.execute(_FORGET, (self._removed,))
            cursor.execute("COMMIT")
            self._removed = []

    def _hiders(
        self, cursor: psycopg2.extensions.cursor, rows: Sequence[Invocation]
    ) -> dict[int, Callable[[str], str]]:
        """Return what hides each server's secrets. Where they are not known, nothing of its calls is kept."""
        found: dict[int, Callable[[str], str]] = {}
        unknown = []
        for server_id in {item.server_id for item in rows}:
            if server_id == 0:
                # A bundle's: any of its members may have answered.
                found[0] = self.memory.hide_all
            elif (hide := self.memory.hider(server_id)) is not None:
                found[server_id] = hide
            else:
                unknown.append(server_id)
        if unknown:
            cursor.execute(_HAVE_SECRETS, (unknown,))
            found |= {server_id: hide_everything for (server_id,) in cursor.fetchall()}
        return found

    # -- figures

    def _tell_fill(self) -> None:
        self.counters.set(Counter.SPOOL_BYTES, used_bytes(self.directory))

    def _tell_lag(self, waiting: Sequence[Invocation]) -> None:
        """Tell how old the oldest row is that waits."""
        lag_s = 0.0
        if waiting:
            oldest = min(item.started_at + item.duration_s for item in waiting)
            lag_s = max(0.0, time.time() - oldest)
        self.counters.set(Counter.TRACE_LAG_MS, int(lag_s * 1000))


def _copy(cursor: psycopg2.extensions.cursor, lines: list[str]) -> None:
    if lines:
        cursor.copy_expert(_COPY, io.BytesIO("".join(lines).encode()))


def _copy_sound(cursor: psycopg2.extensions.cursor, lines: list[str]) -> int:
    """Copy line by line what Postgres takes, and return how many it does not."""
    refused = 0
    for line in lines:
        cursor.execute("SAVEPOINT line")
        try:
            _copy(cursor, [line])
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            cursor.execute("ROLLBACK TO SAVEPOINT line")
            log.warning("trace_refused", error=str(error).strip().splitlines()[0])
            refused += 1
    return refused


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Wait until no other scribe copies this directory: a predecessor may still be ending."""
    descriptor = os.open(
        directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run_scribe(
    directory: Path,
    database: dict[str, str],
    counters: CounterRow,
    memory: MemoryFiles,
    *,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Be the scribe until told to stop. Blocking."""
    # Ctrl-C reaches every process of a terminal; the workers still have something to tell after it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Scribe(
        directory,
        database | {"application_name": "mcp-host-scribe"},
        counters,
        memory,
        beat,
    ).run()
